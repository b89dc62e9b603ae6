//! Web server: nginx under ab (a fixed number of requests, which wrk cannot send), over loopback.

use super::server::{Load, Processes, under_load};
use super::{Clock, Real, Work, digest, find, told, tool, write};
use crate::process::Program;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

pub(super) const NGINX: Real = Real {
    name: "nginx",
    about: "nginx under ab: a page compressed, assembled from parts, fetched through a proxy",
    clock: Some(Clock::Cpu),
    full: 6000,
    lasts: Duration::from_millis(900),
    starts: Duration::from_millis(150),
    prepare,
};

const CONFIG: &str = r"
daemon off; worker_processes 1; pid DIR/nginx.pid; error_log DIR/error.log warn; USER
events { worker_connections 256; }
http {
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi; access_log off;
  types { text/plain txt; text/html shtml; }
  gzip on; gzip_types text/plain; gzip_min_length 100; gzip_proxied any;
  upstream self { server 127.0.0.1:PORT; keepalive 8; }
  server {
    listen 127.0.0.1:PORT backlog=256; root DIR/site;
    location / { ssi on; }
    location /proxied/ { proxy_pass http://self/; proxy_http_version 1.1; proxy_set_header Connection '';
      proxy_set_header Accept-Encoding ''; sub_filter_types text/plain; sub_filter_once off; sub_filter 'in' '[in]'; }
  }
}
";

/// What is asked for, and its share of the requests.
const PAGES: &[(&str, u64)] = &[("page.txt", 2), ("index.shtml", 4), ("proxied/page.txt", 4)];

fn prepare(dir: &Path, requests: u64) -> Result<Work, String> {
    let server = find(&["/usr/sbin/nginx", "/usr/local/sbin/nginx"])?;
    let ab = find(&["/usr/bin/ab", "/usr/local/bin/ab"])?;
    let site = dir.join("site");
    std::fs::create_dir_all(&site).map_err(|error| told(&site, &error))?;
    let page: String = (0..300)
        .map(|line| format!("line {line} in a page of text\n"))
        .collect();
    write(&site.join("page.txt"), &page)?;
    let include = "<!--# include virtual=\"/page.txt\" --><!--# echo var=\"request_uri\" -->\n";
    write(&site.join("index.shtml"), include.repeat(4))?;
    let port = free_port()?;
    // SAFETY: the call takes nothing and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    let config = CONFIG
        .replace("DIR", &dir.to_string_lossy())
        .replace("PORT", &port.to_string())
        .replace("USER", if is_root { "user root;" } else { "" });
    let file = dir.join("nginx.conf");
    write(&file, config)?;
    let server = Program::new(server)
        .arg("-e")
        .arg(dir.join("start.log"))
        .arg("-c")
        .arg(file);
    Ok(Box::new(move |peer| {
        let load = Load {
            is_ready: || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(),
            work: || {
                PAGES
                    .iter()
                    .try_for_each(|(page, share)| bench(&ab, port, page, requests / share))
            },
            check: || {
                let pages = PAGES
                    .iter()
                    .map(|(page, _)| get(port, page).map(|text| digest(&text)));
                Ok(pages.collect::<Result<Vec<_>, _>>()?.join("; "))
            },
        };
        let library = peer.library.as_deref();
        under_load(
            &peer.run_on(server.clone()),
            library,
            Processes::Several,
            libc::SIGQUIT,
            load,
        )
    }))
}

/// A port that nobody listens on at the moment.
fn free_port() -> Result<u16, String> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener
        .local_addr()
        .map(|address| address.port())
        .map_err(|error| error.to_string())
}

/// Sends the requests; every one must be answered, and with the same length.
fn bench(ab: &Path, port: u16, page: &str, requests: u64) -> Result<(), String> {
    let requests = requests.max(8).to_string();
    let text = tool(
        Program::new(ab)
            .args([
                "-q",
                "-k",
                "-c",
                "8",
                "-H",
                "Accept-Encoding: gzip",
                "-n",
                requests.as_str(),
            ])
            .arg(format!("http://127.0.0.1:{port}/{page}")),
    )?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(':').nth(1)).map(str::trim)
    };
    if field("Complete requests") == Some(&requests)
        && field("Failed requests") == Some("0")
        && field("Non-2xx responses").is_none()
    {
        Ok(())
    } else {
        Err(format!("ab on {page}: {text}"))
    }
}

/// The body of a page, uncompressed.
fn get(port: u16, page: &str) -> Result<Vec<u8>, String> {
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(stream, "GET /{page} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| format!("{page}: {error}"))?;
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    match head {
        Some(end) if answer.starts_with(b"HTTP/1.1 200") => Ok(answer[end + 4..].to_vec()),
        _ => Err(format!(
            "{page} is answered with {:?}",
            String::from_utf8_lossy(&answer)
        )),
    }
}
