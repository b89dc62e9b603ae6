//! Protocol: requests and replies as text, the way such stores speak it on the wire.
//!
//! ```text
//! *3 \r\n  $3 \r\n GET \r\n  $6 \r\n user:7 \r\n ...     a list of byte strings
//! ```
//! The server side makes an owned string of every argument, and the value among them is the one that
//! is stored: the allocations of a request are those of a real server.

use std::io::Write;

use crate::workload::store::Store;

const END: &[u8] = b"\r\n";

/// The request with these words.
pub(super) fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut text = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = write!(text, "*{}\r\n", words.len());
    for word in words {
        put_string(&mut text, word);
    }
    text
}

/// Does what `request` asks and answers.
pub(super) fn serve(store: &Store, request: &[u8]) -> Vec<u8> {
    let mut words = parse(request).into_iter();
    let mut next = || words.next().unwrap_or_default();
    let verb = next();
    let mut reply = Vec::new();
    match verb.as_slice() {
        b"GET" => store.get(&next(), |value| put_value(&mut reply, value)),
        b"SET" => {
            let (key, expires, value) = (next(), number(&next()), next());
            drop(store.set(key, value, expires));
            reply.extend_from_slice(b"+OK\r\n");
        }
        b"APPEND" => {
            let key = next();
            put_number(&mut reply, store.append(&key, &next()));
        }
        b"DEL" => put_number(&mut reply, usize::from(store.delete(&next()).is_some())),
        b"EXPIRE" => {
            let key = next();
            put_number(
                &mut reply,
                usize::from(store.expire(&key, number(&next())).is_some()),
            );
        }
        b"SCAN" => {
            let key = next();
            store.scan(&key, number(&next()) as usize, |key| {
                put_string(&mut reply, key)
            });
        }
        _ => reply.extend_from_slice(b"-ERR unknown command\r\n"),
    }
    reply
}

/// The value in a reply to GET, if there was one.
pub(super) fn value_in(reply: &[u8]) -> Option<&[u8]> {
    let mut rest = reply;
    string(&mut rest)
}

fn parse(request: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = request;
    let words = counted(&mut rest, b'*').unwrap_or(0);
    let mut parsed = Vec::with_capacity(words.min(16));
    for _ in 0..words {
        match string(&mut rest) {
            Some(word) => parsed.push(word.to_vec()),
            None => break,
        }
    }
    parsed
}

fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = counted(rest, b'$')?;
    let (word, after) = rest.split_at_checked(length)?;
    *rest = after.strip_prefix(END)?;
    Some(word)
}

fn counted(rest: &mut &[u8], mark: u8) -> Option<usize> {
    let line = rest.strip_prefix(&[mark])?;
    let length = line.iter().position(|&byte| byte == b'\r')?;
    let (digits, after) = line.split_at(length);
    *rest = after.strip_prefix(END)?;
    digits
        .iter()
        .all(u8::is_ascii_digit)
        .then(|| number(digits) as usize)
}

fn number(digits: &[u8]) -> u64 {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

fn put_string(text: &mut Vec<u8>, word: &[u8]) {
    // Writing to a Vec cannot fail.
    let _ = write!(text, "${}\r\n", word.len());
    text.extend_from_slice(word);
    text.extend_from_slice(END);
}

fn put_value(text: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => put_string(text, value),
        None => text.extend_from_slice(b"$-1\r\n"),
    }
}

fn put_number(text: &mut Vec<u8>, number: usize) {
    let _ = write!(text, ":{number}\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(store: &Store, words: &[&str]) -> String {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        String::from_utf8(serve(store, &request(&words))).expect("text")
    }

    #[test]
    fn every_verb_answers() {
        let store = Store::new();
        assert_eq!(ask(&store, &["SET", "k", "0", "va\r\nlue"]), "+OK\r\n");
        assert_eq!(ask(&store, &["GET", "k"]), "$7\r\nva\r\nlue\r\n");
        assert_eq!(ask(&store, &["APPEND", "k", "!"]), ":8\r\n");
        assert_eq!(ask(&store, &["SCAN", "k", "5"]), "$1\r\nk\r\n");
        assert_eq!(ask(&store, &["DEL", "k"]), ":1\r\n");
        assert_eq!(ask(&store, &["GET", "k"]), "$-1\r\n");
        assert_eq!(ask(&store, &["SET", "e", "9", "v"]), "+OK\r\n");
        assert_eq!(ask(&store, &["EXPIRE", "e", "8"]), ":0\r\n");
        assert_eq!(ask(&store, &["EXPIRE", "e", "9"]), ":1\r\n");
        assert_eq!(ask(&store, &["WHAT"]), "-ERR unknown command\r\n");
    }

    #[test]
    fn values_are_found_in_replies() {
        assert_eq!(value_in(b"$2\r\nab\r\n"), Some(&b"ab"[..]));
        assert_eq!(value_in(b"$-1\r\n"), None);
        assert_eq!(value_in(b"$9\r\nab\r\n"), None);
    }
}
