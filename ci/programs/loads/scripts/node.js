// Buffers, strings, JSON, compression, native crypto and worker threads; prints what they computed.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto');
const zlib = require('zlib');

// Random numbers that are the same on every run (a 32-bit xorshift).
function dice(seed) {
  let x = seed | 1;
  return (n) => {
    x ^= x << 13; x ^= x >>> 17; x ^= x << 5;
    return (x >>> 0) % n;
  };
}

function churn(seed, rounds) {
  const roll = dice(seed);
  const sum = crypto.createHash('sha256');
  const live = new Map();
  for (let i = 0; i < rounds; i++) {
    const key = 'k' + roll(300);
    switch (roll(6)) {
      case 0: live.set(key, Buffer.alloc(roll(70000), i & 255)); break;
      case 1: live.set(key, Buffer.from('ä€'.repeat(roll(3000)))); break;
      case 2: {
        const object = Array.from({ length: roll(200) }, (_, n) => ({ n, name: key + n, list: [n, i, null] }));
        live.set(key, Buffer.from(JSON.stringify(JSON.parse(JSON.stringify(object)))));
        break;
      }
      case 3: {
        const packed = zlib.deflateSync(live.get(key) || Buffer.from(key), { level: 1 });
        sum.update(zlib.inflateSync(packed));
        break;
      }
      case 4: {
        const all = Buffer.concat([...live.values()].slice(0, 12));
        sum.update(crypto.createHash('md5').update(all).digest());
        sum.update(all.toString('base64').split('A').join('-').slice(0, 5000));
        break;
      }
      default: live.delete(key);
    }
  }
  for (const key of [...live.keys()].sort()) sum.update(key).update(live.get(key));
  return sum.digest('hex');
}

if (!isMainThread) {
  const bytes = new Uint8Array(workerData.shared);
  Atomics.add(bytes, workerData.seed, 1);
  parentPort.postMessage({ seed: workerData.seed, hash: churn(workerData.seed, 1200) });
} else {
  main().catch((error) => { console.error(error); process.exit(1); });
}

async function main() {
  const shared = new SharedArrayBuffer(64);
  const work = (seed) => new Promise((done, fail) => {
    const worker = new Worker(__filename, { workerData: { seed, shared } });
    worker.on('message', done);
    worker.on('error', fail);
  });
  for (const group of [[1, 2, 3, 4], [5, 6, 7, 8]]) {
    for (const { seed, hash } of await Promise.all(group.map(work))) console.log('worker', seed, hash);
  }
  console.log('shared', new Uint8Array(shared).join(' '));
  console.log('main', churn(99, 2000));
  // libuv's own threads.
  const inputs = Array.from({ length: 40 }, (_, i) => Buffer.alloc(100000 + i * 1000, i));
  const packed = await Promise.all(inputs.map((b) => new Promise((done, fail) =>
    zlib.gzip(b, (error, result) => (error ? fail(error) : done(zlib.gunzipSync(result).length))))));
  const keys = await Promise.all(inputs.slice(0, 8).map((b, i) => new Promise((done, fail) =>
    crypto.scrypt('word' + i, 'salt', 32, { N: 4096 }, (error, key) => (error ? fail(error) : done(key.toString('hex')))))));
  console.log(packed.join(' '));
  console.log(keys.join(' '));
}
