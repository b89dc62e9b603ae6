//! Database: PostgreSQL under pgbench, over a Unix socket.
//!
//! A cluster is made once; each run works on a fresh copy of it, so that all begin with the same pages. With
//! a seed and a number of transactions the sums of all balances are the same in every run, whatever the
//! order in which the clients came. The server refuses to be root; root becomes `nobody`.

use super::server::{Load, Processes, under_load};
use super::{Clock, Real, Work, read, told, tool, write};
use crate::process::Program;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const POSTGRESQL: Real = Real {
    name: "postgresql",
    about: "PostgreSQL under pgbench: updates, sorted and hashed sums, new connections",
    clock: Some(Clock::Cpu),
    full: 240,
    lasts: Duration::from_millis(900),
    starts: Duration::from_millis(600),
    prepare,
};

const CONFIG: &str = "listen_addresses = ''\nshared_buffers = 16MB\nfsync = off\nautovacuum = off\n\
    max_connections = 20\nmax_worker_processes = 0\njit = off\n";

/// A report beside the updates that pgbench brings: documents, sorting, hashing.
const REPORT: &str = r"
\set first random(1, 90000)
SELECT md5(string_agg(t, '')) FROM (SELECT md5(g::text) t FROM generate_series(:first, :first + 1000) g ORDER BY 1) s;
SELECT count(*), jsonb_object_agg(k, v)->>'3' FROM
  (SELECT aid % 97 k, jsonb_build_object('sum', sum(abalance), 'list', jsonb_agg(aid)) v
   FROM pgbench_accounts WHERE aid BETWEEN :first AND :first + 1500 GROUP BY 1) s;
";

const SUMS: &str = "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
  (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history),
  (SELECT count(*) FROM pgbench_history)";

/// Clients of pgbench.
const CLIENTS: u64 = 4;

/// Where everything is, and as whom it runs.
#[derive(Clone)]
struct Site {
    tools: PathBuf,
    dir: PathBuf,
    user: Option<u32>,
}

fn prepare(dir: &Path, transactions: u64) -> Result<Work, String> {
    let site = Site {
        tools: newest_tools()?,
        dir: dir.to_owned(),
        user: user()?,
    };
    if let Some(user) = site.user {
        std::os::unix::fs::chown(dir, Some(user), Some(user)).map_err(|error| told(dir, &error))?;
    }
    write(&dir.join("report.sql"), REPORT)?;
    site.make_cluster()?;
    Ok(Box::new(move |peer| {
        site.copy_cluster()?;
        let library = site.readable(peer.library.as_deref())?;
        let mut server = site.server("data");
        if let Some(library) = &library {
            server = server.env("LD_PRELOAD", library);
        }
        let load = Load {
            is_ready: || site.is_ready("data"),
            work: || site.load(transactions),
            check: || site.check(transactions),
        };
        under_load(
            &server,
            library.as_deref(),
            Processes::Several,
            libc::SIGINT,
            load,
        )
    }))
}

fn newest_tools() -> Result<PathBuf, String> {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").map_err(|_| "/usr/lib/postgresql not found")?;
    let tools = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|tools| tools.join("postgres").exists() && tools.join("pgbench").exists());
    // 15 is newer than 9.6.
    let number = |tools: &PathBuf| {
        let version = tools.parent()?.file_name()?.to_str()?;
        Some((version.parse::<f64>().ok()? * 10.0) as u64)
    };
    tools
        .max_by_key(number)
        .ok_or_else(|| "no PostgreSQL server with pgbench".to_owned())
}

/// The user to become: `nobody` for root, else none.
fn user() -> Result<Option<u32>, String> {
    // SAFETY: the call takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(None);
    }
    let users = String::from_utf8_lossy(&read(Path::new("/etc/passwd"))?).into_owned();
    let nobody = users.lines().find(|line| line.starts_with("nobody:"));
    let number = nobody.and_then(|line| line.split(':').nth(2)?.parse().ok());
    number.map(Some).ok_or_else(|| "no user nobody".to_owned())
}

impl Site {
    fn program(&self, file: impl AsRef<Path>) -> Program {
        Program::new(self.tools.join(file))
            .user(self.user)
            .dir(&self.dir)
    }

    fn client(&self, name: &str) -> Program {
        self.program(name)
            .env("PGHOST", &self.dir)
            .env("PGUSER", "bench")
            .env("PGDATABASE", "postgres")
    }

    fn server(&self, data: &str) -> Program {
        self.program("postgres")
            .arg("-k")
            .arg(&self.dir)
            .arg("-D")
            .arg(self.dir.join(data))
    }

    fn is_ready(&self, data: &str) -> bool {
        let file = self.dir.join(data).join("postmaster.pid");
        std::fs::read_to_string(file).is_ok_and(|text| text.contains("ready"))
    }

    fn make_cluster(&self) -> Result<(), String> {
        let cluster = self.dir.join("cluster");
        let _ = std::fs::remove_dir_all(&cluster);
        let options = [
            "-U",
            "bench",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ];
        tool(self.program("initdb").args(options).arg("-D").arg(&cluster))?;
        write(&cluster.join("postgresql.auto.conf"), CONFIG)?;
        let load = Load {
            is_ready: || self.is_ready("cluster"),
            work: || tool(self.client("pgbench").args(["-i", "-q", "-s", "1"])).map(drop),
            check: || Ok(String::new()),
        };
        under_load(
            &self.server("cluster"),
            None,
            Processes::Several,
            libc::SIGINT,
            load,
        )
        .map(drop)
    }

    fn copy_cluster(&self) -> Result<(), String> {
        let _ = std::fs::remove_dir_all(self.dir.join("data"));
        let copy = Program::new("/bin/cp").args(["-a", "cluster", "data"]);
        tool(copy.user(self.user).dir(&self.dir)).map(drop)
    }

    /// A copy of the library that the server's user may read: it may lie in the home of another.
    fn readable(&self, library: Option<&Path>) -> Result<Option<PathBuf>, String> {
        let Some(library) = library else {
            return Ok(None);
        };
        let Some(name) = library.file_name() else {
            return Ok(None);
        };
        let copy = self.dir.join(name);
        std::fs::copy(library, &copy).map_err(|error| told(library, &error))?;
        Ok(Some(copy))
    }

    fn load(&self, transactions: u64) -> Result<(), String> {
        let pgbench = |args: &[&str], part: u64| {
            let each = (transactions / part / CLIENTS).max(1).to_string();
            let program = self
                .client("pgbench")
                .args(["-n", "-j", "1", "--random-seed=7", "-t"]);
            tool(
                program
                    .arg(each)
                    .arg("-c")
                    .arg(CLIENTS.to_string())
                    .args(args),
            )
            .map(drop)
        };
        pgbench(&[], 1)?;
        pgbench(&["-f", "report.sql"], 4)?;
        pgbench(&["-S", "-C"], 4)
    }

    /// The sums, which must agree among each other.
    fn check(&self, transactions: u64) -> Result<String, String> {
        let answer = tool(self.client("psql").args(["-qAtX", "-c", SUMS]))?;
        let sums: Vec<&str> = answer.trim().split('|').collect();
        let expected = (transactions / CLIENTS).max(1) * CLIENTS;
        match sums[..] {
            [accounts, tellers, branches, history, count]
                if [tellers, branches, history] == [accounts; 3]
                    && count.parse() == Ok(expected) =>
            {
                Ok(answer.trim().to_owned())
            }
            _ => Err(format!("the balances do not agree: {answer}")),
        }
    }
}
