//! Key store: redis under redis-benchmark, over a Unix socket.
//!
//! Keys that redis-benchmark draws differ from run to run, so they are only counted; after them a fixed data
//! set is written and the server's own digest of it is the result.

use super::server::{Load, Processes, under_load};
use super::{Clock, Real, Work, find, tool, write};
use crate::peers::Peer;
use crate::process::Program;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub(super) const REDIS: Real = Real {
    name: "redis",
    about: "redis-server under redis-benchmark: SET, GET, LPUSH, LRANGE, HSET, SADD, ZADD",
    clock: Some(Clock::Cpu),
    full: 30_000,
    lasts: Duration::from_millis(900),
    starts: Duration::from_millis(150),
    prepare,
};

/// Lists end up this long and more: a full pipeline may send a few requests beyond the number asked for.
const LIST: &str = "mylist";

fn prepare(dir: &Path, requests: u64) -> Result<Work, String> {
    let server = find(&["/usr/bin/redis-server", "/usr/local/bin/redis-server"])?;
    let benchmark = find(&["/usr/bin/redis-benchmark", "/usr/local/bin/redis-benchmark"])?;
    let socket = dir.join("socket");
    let config = dir.join("redis.conf");
    write(
        &config,
        format!(
            "port 0\nunixsocket {}\ndir {}\nsave \"\"\ndaemonize no\nenable-debug-command local\n",
            socket.display(),
            dir.display()
        ),
    )?;
    let server = Program::new(server).arg(config);
    let load = Program::new(benchmark)
        .arg("-s")
        .arg(&socket)
        .args(["-q", "-c", "20", "-P", "8", "-r", "20000", "-d", "200"])
        .arg("-n")
        .arg(requests.to_string())
        .args(["-t", "set,get,lpush,lrange_100,hset,sadd,zadd"]);
    Ok(Box::new(move |peer| {
        let load = Load {
            is_ready: || Client::new(&socket).is_ok_and(|mut client| client.ask("PING").is_ok()),
            work: || tool(load.clone()).map(drop),
            check: || {
                let mut client = Client::new(&socket)?;
                let length = client.ask(&format!("LLEN {LIST}"))?;
                if length.parse().unwrap_or(0) < requests {
                    return Err(format!(
                        "{requests} and more were pushed, the list has {length}"
                    ));
                }
                fixed_data_set(&mut client)
            },
        };
        let library = peer.library.as_deref();
        under_load(
            &on(peer, server.clone()),
            library,
            Processes::One,
            libc::SIGTERM,
            load,
        )
    }))
}

/// A distribution's server is linked with jemalloc, which would serve it where nothing is preloaded: the C
/// library, put first, takes the calls back.
fn on(peer: &Peer, server: Program) -> Program {
    match peer.library {
        Some(_) => peer.run_on(server),
        None => server.env("LD_PRELOAD", "libc.so.6"),
    }
}

/// Replaces all data by the same few thousand keys; returns their number and digest.
fn fixed_data_set(client: &mut Client) -> Result<String, String> {
    client.ask("FLUSHALL")?;
    for key in 0..500_usize {
        let text = "x".repeat(key * 37 % 900 + 1);
        for request in [
            format!("SET s{key} {text}"),
            format!("APPEND s{} {text}", key / 2),
            format!("HSET h{} f{} {text}", key % 50, key),
            format!("RPUSH l{} {text}", key % 70),
            format!("ZADD z{} {key} {text}", key % 30),
        ] {
            client.ask(&request)?;
        }
    }
    let keys = client.ask("DBSIZE")?;
    Ok(format!("{keys} keys, {}", client.ask("DEBUG DIGEST")?))
}

/// Speaks as much of the protocol as the checks need: requests in one line, answers of one line or one text.
struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    fn new(socket: &Path) -> Result<Self, String> {
        let stream = UnixStream::connect(socket).map_err(|error| error.to_string())?;
        let patience = Some(Duration::from_secs(20));
        stream
            .set_read_timeout(patience)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    fn ask(&mut self, request: &str) -> Result<String, String> {
        self.exchange(request)
            .map_err(|error| format!("redis, asked {request:.60}: {error}"))
    }

    fn exchange(&mut self, request: &str) -> std::io::Result<String> {
        self.stream
            .get_mut()
            .write_all(format!("{request}\r\n").as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let line = line.trim_end();
        match line.split_at_checked(1) {
            Some(("+" | ":", answer)) => Ok(answer.to_owned()),
            Some(("$", length)) => {
                let mut text = vec![0; length.parse::<usize>().unwrap_or(0) + 2];
                self.stream.read_exact(&mut text)?;
                Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
            }
            _ => Err(std::io::Error::other(format!("answer {line:?}"))),
        }
    }
}
