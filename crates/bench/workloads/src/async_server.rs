//! Async server: requests and answers over streams within the process, on an async runtime.
//!
//! ```text
//! client task ==== stream of 4 KiB ==== server task        32 clients at a time, 2 workers;
//!   a connection has 8 requests, then both ends go         a task may move between the workers
//! ```
//! A connection makes two tasks, a stream and its buffers; a request makes a head with a map of its fields,
//! a body, and an answer of 20 bytes to 40 KiB. What one worker allocated, another often frees.

mod http;

use crate::random::Random;
use crate::{Tally, Workload};
use http::{Message, read, write};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;

pub(crate) const WORKLOAD: Workload = Workload {
    name: "async-server",
    about: "32 clients at a time ask a server on tokio with 2 workers; connections of 8 mixed requests",
    full: 120,
    tiny: 1,
    run,
};

const WORKERS: usize = 2;
const CLIENTS: u64 = 32;

/// Requests of a connection, and bytes under way in each direction.
const REQUESTS: u64 = 8;
const UNDER_WAY: usize = 4 << 10;

fn run(connections: u64, tally: &mut Tally) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .build()
        .expect("threads for the runtime");
    let sum = runtime.block_on(async {
        let clients: Vec<JoinHandle<u64>> = (0..CLIENTS)
            .map(|client| tokio::spawn(connect_again_and_again(client, connections)))
            .collect();
        let mut sum = 0;
        for client in clients {
            sum += client.await.expect("a client failed");
        }
        sum
    });
    tally.add(CLIENTS * connections * REQUESTS, sum);
}

async fn connect_again_and_again(client: u64, connections: u64) -> u64 {
    let mut random = Random::new(client);
    let mut sum = 0;
    for _ in 0..connections {
        let (near, far) = tokio::io::duplex(UNDER_WAY);
        let server = tokio::spawn(serve(far));
        sum += ask(near, &mut random).await;
        let served = server.await.expect("the server failed");
        assert_eq!(served, REQUESTS, "requests were lost");
    }
    sum
}

/// Sends the requests of one connection; returns the bytes of all answers.
async fn ask(mut stream: DuplexStream, random: &mut Random) -> u64 {
    let mut sum = 0;
    for index in 0..REQUESTS {
        let number = random.below(1000) as u64;
        let (target, body) = match random.below(10) {
            0..5 => (format!("/item/{number}"), Vec::new()),
            5..7 => (format!("/list/{}", number / 10), Vec::new()),
            7..9 => ("/sum".to_owned(), numbers(number).to_string().into_bytes()),
            _ => (format!("/file/{}", 40 * number), Vec::new()),
        };
        let request = Message::new(format!("GET {target} HTTP/1.1"), body)
            .with("host", "localhost")
            .with("user-agent", "jemoxide-workloads")
            .with("accept", "application/json, application/octet-stream")
            .with("x-request", &index.to_string());
        write(&mut stream, &request).await;
        let answer = read(&mut stream).await.expect("an answer");
        assert_eq!(answer.field("x-request"), Some(&*index.to_string()));
        assert!(is_answer(&target, number, &answer), "a wrong answer");
        sum += answer.body.len() as u64;
    }
    sum
}

fn is_answer(target: &str, number: u64, answer: &Message) -> bool {
    let body = || serde_json::from_slice::<Value>(&answer.body).expect("an answer in JSON");
    match target.split('/').nth(1) {
        Some("item") => body()["id"] == number,
        Some("list") => body().as_array().map(Vec::len) == Some(number as usize / 10),
        Some("sum") => body() == json!(number * (number + 1) / 2),
        _ => answer.body == vec![b'.'; 40 * number as usize],
    }
}

/// The numbers up to `last`.
fn numbers(last: u64) -> Value {
    (0..=last).collect()
}

/// Answers until the client hangs up; returns the number of requests.
async fn serve(mut stream: DuplexStream) -> u64 {
    let mut served = 0;
    while let Some(request) = read(&mut stream).await {
        let answer = Message::new("HTTP/1.1 200 OK".to_owned(), answer_to(&request))
            .with("server", "jemoxide-workloads")
            .with("content-type", "application/json")
            .with("x-request", request.field("x-request").unwrap_or_default());
        write(&mut stream, &answer).await;
        served += 1;
    }
    served
}

fn answer_to(request: &Message) -> Vec<u8> {
    let target = request.start.split(' ').nth(1).unwrap_or_default();
    let mut parts = target.split('/').skip(1);
    let what = parts.next();
    let number: usize = parts.next().map_or(0, |part| part.parse().unwrap_or(0));
    match what {
        Some("item") => json!({"id": number, "name": format!("item {number}")}).to_string(),
        Some("list") => Value::from_iter((0..number).map(|id| json!({"id": id}))).to_string(),
        Some("sum") => {
            let numbers: Vec<u64> = serde_json::from_slice(&request.body).expect("numbers");
            numbers.iter().sum::<u64>().to_string()
        }
        _ => return vec![b'.'; number],
    }
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::WORKLOAD;

    #[test]
    fn answers_do_not_depend_on_the_schedule() {
        let (one, two) = (WORKLOAD.run(2), WORKLOAD.run(2));
        assert_eq!(one.operations, 32 * 2 * 8);
        assert_eq!(
            (one.checksum, one.operations),
            (two.checksum, two.operations)
        );
    }
}
