# Strings, hashes, threads, forks and garbage collection; prints what they computed.
# Loaded before the threads start: Digest's own loading on first use is not safe in threads that race for it.
require 'digest/sha2'
require 'json'
require 'zlib'

def churn(seed, rounds)
  dice = Random.new(seed)
  live = {}
  seen = Digest::SHA256.new
  rounds.times do |step|
    key = "key#{dice.rand(300)}"
    case dice.rand(7)
    when 0 then live[key] = (step % 256).chr * dice.rand(60_000)
    when 1 then live[key] = Array.new(dice.rand(300)) { |n| "#{n}-#{step}" * 3 }
    when 2 then live[key] = (0...dice.rand(200)).to_h { |n| ["#{key}.#{n}".to_sym, n / 3.0] }
    when 3 then seen << Marshal.load(Marshal.dump(live[key])).inspect
    when 4 then seen << live[key].inspect[0, 20_000].gsub(/\d+/) { |d| (d.to_i + 1).to_s }
    when 5 then seen << Zlib.inflate(Zlib.deflate(JSON.generate([live[key].to_s.b.unpack1('H*')]), 1))
    else live.delete(key)
    end
  end
  live.keys.sort.each { |key| seen << key << live[key].inspect }
  seen.hexdigest
end

threads = (1..5).map { |i| Thread.new { churn(i, 700) } }
threads.each_with_index { |thread, i| puts "thread #{i} #{thread.value}" }

GC.stress = true
puts "stress #{churn(50, 9)}"
GC.stress = false

kept = Array.new(50_000) { |n| "object #{n}" * (n % 30 + 1) }
kept = kept.each_slice(3).map(&:first)
GC.start(full_mark: true, immediate_sweep: true)
GC.compact if GC.respond_to?(:compact)
puts "kept #{Digest::SHA256.hexdigest(kept.join)}"

background = Thread.new { loop { Array.new(200) { |n| 'z' * n } } }
4.times do |i|
  reader, writer = IO.pipe
  pid = fork do
    reader.close
    writer.write(churn(70 + i, 300))
    writer.close
    exit!(0)
  end
  writer.close
  puts "child #{i} #{reader.read}"
  Process.wait(pid)
  abort "child #{i} failed: #{$?}" unless $?.success?
end
background.kill

puts "big #{Digest::SHA256.hexdigest((3**50_000).to_s)}"
GC.verify_internal_consistency
