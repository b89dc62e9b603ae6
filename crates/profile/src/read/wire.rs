//! Wire: a protobuf message field by field, as it lies in the bytes.
//!
//! ```text
//! message = field*      field = key value      key = number << 3 | kind, a varint
//!           kind 0  varint              -> Number
//!           kind 1  8 bytes             -> Number
//!           kind 2  length, bytes       -> Bytes     a text, a message, or numbers packed
//!           kind 5  4 bytes             -> Number
//! ```
//! Nothing is copied and nothing kept: a field of two bytes costs no more memory than one of a thousand, unlike a message
//! decoded as a whole, whose structs are dozens of times their bytes.
//!
//! Source: protobuf's "Encoding"; groups (kinds 3 and 4) are not in use in profiles.

use std::fmt;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// A number and what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
}

/// The bytes are no message: at which byte from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    left: usize,
}

impl fmt::Display for Broken {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "a field is cut off {} bytes before the end", self.left)
    }
}

/// The fields of `message`, in their order; the first that is broken is the last.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Broken>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let left = rest.len();
        Some(field(&mut rest).ok_or_else(|| {
            rest = &[];
            Broken { left }
        }))
    })
}

/// The messages, texts or lists in the fields `number` of `message`.
pub(super) fn all(message: &[u8], number: u64) -> impl Iterator<Item = Result<&[u8], Broken>> {
    fields(message).filter_map(move |field| match field {
        Ok(field) if field.number != number => None,
        Ok(field) => match field.value {
            Value::Bytes(bytes) => Some(Ok(bytes)),
            Value::Number(_) => None,
        },
        Err(broken) => Some(Err(broken)),
    })
}

impl<'a> Value<'a> {
    /// A number, as is a signed one in two's complement; 0 where it is none.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(_) => 0,
        }
    }

    /// As [`Value::number`].
    pub(super) fn signed(self) -> i64 {
        self.number() as i64
    }

    /// Bytes; none where it is a number.
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(_) => &[],
        }
    }

    /// Adds the number, or the numbers packed in it, to `list`.
    pub(super) fn append_to(self, list: &mut Vec<u64>) -> Result<(), Broken> {
        match self {
            Self::Number(number) => list.push(number),
            Self::Bytes(mut rest) => {
                while !rest.is_empty() {
                    let left = rest.len();
                    list.push(varint(&mut rest).ok_or(Broken { left })?);
                }
            }
        }
        Ok(())
    }
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Value::Number(varint(rest)?),
        1 => Value::Number(u64::from_le_bytes(taken(rest, 8)?.try_into().ok()?)),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Value::Bytes(taken(rest, length)?)
        }
        5 => Value::Number(u64::from(u32::from_le_bytes(
            taken(rest, 4)?.try_into().ok()?,
        ))),
        _ => return None,
    };
    // Field 0 does not exist: bytes of zero are no message.
    let number = Some(key >> 3).filter(|&number| number > 0)?;
    Some(Field { number, value })
}

fn taken<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// Seven bits a byte, lowest first; the last byte has no eighth bit.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::proto;

    /// The naive twin decodes whole messages: what it wrote is read here number by number.
    #[test]
    fn what_a_protobuf_library_writes_is_read() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            let number = |random: &mut fastrand::Rng| random.u64(..) >> random.u32(..64);
            let list: Vec<u64> = (0..random.usize(..9))
                .map(|_| number(&mut random))
                .collect();
            let value: Vec<i64> = list.iter().map(|number| *number as i64).collect();
            let sample = proto::Sample {
                location_id: list.clone(),
                value,
                label: vec![proto::Label {
                    key: 1,
                    num: number(&mut random) as i64,
                    ..proto::Label::default()
                }],
            };
            let bytes = sample.encode_to_vec();
            let (mut ids, mut values, mut labels) = (Vec::new(), Vec::new(), Vec::new());
            for field in fields(&bytes) {
                let field = field.expect("whole");
                match field.number {
                    1 => field.value.append_to(&mut ids).expect("whole"),
                    2 => field.value.append_to(&mut values).expect("whole"),
                    _ => labels.push(field.value.bytes()),
                }
            }
            assert_eq!((&ids, &values), (&list, &list));
            assert_eq!(labels.len(), 1);
            let number_of = |wanted| {
                let mut all = fields(labels[0]).map(|field| field.expect("whole"));
                let found = all.find(|field| field.number == wanted);
                found.map_or(0, |field| field.value.signed())
            };
            assert_eq!(number_of(3), sample.label[0].num);
        }
    }

    #[test]
    fn broken_bytes_are_told_once() {
        for (bytes, good) in [
            (&b"\x08"[..], 0),
            (b"\x08\x01\x12\x02x", 1),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0),
            (b"\x0b\x08\x01", 0),
            (b"\x00\x01", 0),
            (b"\x0d\x01\x02\x03", 0),
            (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0),
        ] {
            let read: Vec<_> = fields(bytes).collect();
            assert_eq!(read.len(), good + 1, "{bytes:?}");
            assert!(read[good].is_err() && read[..good].iter().all(Result::is_ok));
        }
        let mut list = Vec::new();
        assert!(Value::Bytes(b"\x01\x80").append_to(&mut list).is_err());
        assert_eq!(list, [1]);
    }
}
