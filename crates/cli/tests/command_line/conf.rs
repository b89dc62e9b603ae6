//! `jemoxide conf`: values, and where they come from.

use std::process::Command;

use crate::{holds, jemoxide, output};

/// `jemoxide conf` without options of the surroundings.
fn conf(words: &[&str]) -> Command {
    let mut command = jemoxide(words);
    command
        .env_remove("MALLOC_CONF")
        .env_remove("_RJEM_MALLOC_CONF")
        .env_remove("JEMOXIDE_CONF");
    command
}

/// The option `name` in what `--json` printed.
fn option(json: &str, name: &str) -> serde_json::Value {
    let conf: serde_json::Value = serde_json::from_str(json).expect("it is JSON");
    let options = conf["options"].as_array().expect("a list");
    let found = options.iter().find(|option| option["name"] == name);
    found.expect("each key is there").clone()
}

#[test]
fn conf_tells_values_and_where_they_come_from() {
    let mut command = conf(&["conf", "--json"]);
    command
        .env("MALLOC_CONF", "preset:low_memory,narenas:3,narena:1")
        .env("JEMOXIDE_CONF", "dirty_max:2M");
    let (code, out, _) = output(command);
    assert_eq!(code, Some(0));
    for (name, value, origin) in [
        ("preset", "low_memory", "MALLOC_CONF"),
        ("narenas", "3", "MALLOC_CONF"),
        ("dirty_share", "5", "preset low_memory"),
        ("dirty_max", "2M", "JEMOXIDE_CONF"),
        ("muzzy_decay_ms", "0", "default"),
    ] {
        let option = option(&out, name);
        assert_eq!(
            (&option["value"], &option["origin"]),
            (&value.into(), &origin.into()),
            "{name}"
        );
    }
    holds(&out, &["narena:1", "did you mean narenas?"]);
}

#[test]
fn conf_explains_presets_and_refuses_others() {
    let mut command = conf(&["conf", "--preset", "container"]);
    command.env("MALLOC_CONF", "narenas:7");
    let (code, out, _) = output(command);
    assert_eq!(code, Some(0));
    holds(
        &out,
        &["dirty_decay_ms:3000", "preset container; default 10000"],
    );
    assert!(!out.contains("narenas:7"), "{out}");
    let (code, _, error) = output(conf(&["conf", "--preset", "small"]));
    assert_eq!(code, Some(2));
    holds(&error, &["small", "low_memory"]);
}

#[test]
fn conf_reads_the_environment_of_a_process() {
    let mut sleeper = Command::new("sleep")
        .arg("100")
        .env("MALLOC_CONF", "dirty_max:3M")
        .spawn()
        .expect("sleep is there");
    // Until the child has become `sleep` it is this test.
    let pid = sleeper.id().to_string();
    let mut found = String::new();
    for _ in 0..3000 {
        let (code, out, _) = output(conf(&["conf", "--json", "--pid", &pid]));
        assert_eq!(code, Some(0));
        found = option(&out, "dirty_max")["value"].to_string();
        if found == "\"3M\"" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    sleeper.kill().expect("it is ours");
    sleeper.wait().expect("it is ours");
    assert_eq!(found, "\"3M\"");
    let (code, _, error) = output(conf(&["conf", "--pid", "4194305"]));
    assert_eq!(code, Some(2));
    holds(&error, &["no process 4194305"]);
}
