//! HTTP, as much as the workload needs: a start line, a map of fields, a body as long as one field says.

use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Field that tells the length of the body.
const LENGTH: &str = "content-length";

/// End of the head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Bytes asked of the stream at a time.
const READ: usize = 2 << 10;

/// A request or an answer.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) start: String,
    fields: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn new(start: String, body: Vec<u8>) -> Self {
        let message = Self {
            start,
            fields: BTreeMap::new(),
            body,
        };
        let len = message.body.len().to_string();
        message.with(LENGTH, &len)
    }

    /// The same with one more field.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The message whose head is `text`, with no body yet.
    fn from_head(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self {
            start,
            fields,
            body: Vec::new(),
        }
    }
}

/// Sends `message`.
pub(super) async fn write(stream: &mut DuplexStream, message: &Message) {
    let mut bytes = format!("{}\r\n", message.start).into_bytes();
    for (name, value) in &message.fields {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&message.body);
    stream
        .write_all(&bytes)
        .await
        .expect("the other end listens");
}

/// Receives the next message; `None` when the other end hung up. Whoever sends waits for the answer
/// before the next message, so nothing comes after the body.
pub(super) async fn read(stream: &mut DuplexStream) -> Option<Message> {
    let mut bytes = Vec::with_capacity(READ);
    let head = loop {
        if read_more(stream, &mut bytes).await == 0 {
            assert!(bytes.is_empty(), "half a message");
            return None;
        }
        let end = bytes
            .windows(HEAD_END.len())
            .position(|part| part == HEAD_END);
        if let Some(end) = end {
            break end;
        }
    };
    let text = std::str::from_utf8(&bytes[..head]).expect("a head is text");
    let mut message = Message::from_head(text);
    let len: usize = message
        .field(LENGTH)
        .map_or(0, |len| len.parse().expect("a length is a number"));
    message.body = bytes.split_off(head + HEAD_END.len());
    while message.body.len() < len {
        let more = read_more(stream, &mut message.body).await;
        assert!(more > 0, "half a body");
    }
    assert_eq!(message.body.len(), len, "more than was announced");
    Some(message)
}

async fn read_more(stream: &mut DuplexStream, bytes: &mut Vec<u8>) -> usize {
    bytes.reserve(READ);
    stream.read_buf(bytes).await.expect("a stream in memory")
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn a_head_has_a_start_and_fields() {
        let message = Message::from_head("GET / HTTP/1.1\r\nHost: here\r\nX-Y: a: b");
        assert_eq!(message.start, "GET / HTTP/1.1");
        assert_eq!(message.field("host"), Some("here"));
        assert_eq!(message.field("x-y"), Some("a: b"));
        assert_eq!(message.field("accept"), None);
    }
}
