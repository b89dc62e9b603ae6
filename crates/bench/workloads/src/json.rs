//! JSON: a document read, changed and written, again and again, each time from the text of the last.
//!
//! Reading makes a map, a vector or a string a value; writing makes one string that grows.

use crate::random::Random;
use crate::{Tally, Workload};
use serde_json::{Value, json};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "json-documents",
    about: "a JSON document of 500 records read, changed and written",
    full: 160,
    tiny: 2,
    run,
};

const RECORDS: usize = 500;

fn run(rounds: u64, tally: &mut Tally) {
    let mut text = document(&mut Random::new(RECORDS as u64)).to_string();
    for round in 0..rounds {
        let mut document: Value = serde_json::from_str(&text).expect("it was written as JSON");
        let records = document["records"].as_array_mut().expect("an array");
        assert_eq!(records.len(), RECORDS, "records were lost");
        for record in records {
            assert_eq!(record["visits"], round, "a change was lost");
            record["visits"] = json!(round + 1);
            record["trail"] = json!([round, format!("visit number {round} of this record")]);
        }
        text = document.to_string();
        tally.add(RECORDS as u64, text.len() as u64);
    }
}

fn document(random: &mut Random) -> Value {
    let records: Vec<Value> = (0..RECORDS).map(|id| record(id, random)).collect();
    json!({"title": "records \"in\" a list", "records": records})
}

fn record(id: usize, random: &mut Random) -> Value {
    let tags: Vec<String> = (0..random.below(6)).map(|_| word(random)).collect();
    json!({
        "id": id,
        "visits": 0,
        "name": {"first": word(random), "last": word(random)},
        "place": {"street": format!("{} {}", word(random), random.below(300)), "zip": random.below(100_000)},
        "score": random.below(1_000_000) as f64 / 64.0,
        "tags": tags,
        "note": (0..random.below(30)).map(|_| word(random)).collect::<Vec<_>>().join(" "),
        "active": random.below(2) == 0,
        "parent": Value::Null,
    })
}

fn word(random: &mut Random) -> String {
    (0..random.within(2, 12))
        .map(|_| char::from(b'a' + random.below(26) as u8))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{RECORDS, WORKLOAD};

    #[test]
    fn every_record_is_visited_in_every_round() {
        let told = WORKLOAD.run(3);
        assert_eq!(told.operations, 3 * RECORDS as u64);
        assert!(told.checksum > 3 * 100 * RECORDS as u64);
    }
}
