use super::*;

const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;

#[test]
fn what_is_left_counts_what_was_handed_out_and_not_touched() {
    assert_eq!(left(100, 40, 40, 0), 60);
    assert_eq!(left(100, 40, 40, 25), 35, "handed out, not seen in use");
    assert_eq!(left(100, 60, 40, 25), 35, "handed out, mostly touched");
    assert_eq!(left(100, 90, 40, 25), 10, "others took more");
    assert_eq!(left(100, 120, 40, 0), 0);
    assert_eq!(left(u64::MAX, u64::MAX, 0, u64::MAX), 0);
}

#[test]
fn levels_are_entered_by_the_percent_left_and_kept_a_little_longer() {
    use Pressure::{Calm, Critical, Tight};
    let limit = 1000 * MIB;
    let at = |left: u64, before| by_amount(left * MIB, limit, before);
    for before in [Calm, Tight, Critical] {
        assert_eq!(at(1000, before), Calm);
        assert_eq!(at(200, before), Tight);
        assert_eq!(at(0, before), Critical);
    }
    assert_eq!((at(260, Calm), at(260, Tight)), (Calm, Tight));
    assert_eq!((at(310, Tight), at(310, Critical)), (Calm, Calm));
    assert_eq!((at(120, Tight), at(120, Critical)), (Tight, Critical));
    // A limit of nothing, and one below a percent's worth.
    assert_eq!(by_amount(0, 0, Calm), Calm);
    assert_eq!(by_amount(5, 10, Calm), Calm);
}

#[test]
fn rising_counts_hold_for_two_seconds() {
    let mut signs = Signs::new();
    let events = |warned, failed| Events { warned, failed };
    signs.note_events(SECOND, events(7, 2));
    assert_eq!(signs.level(SECOND), Pressure::Calm, "what was, was");
    signs.note_events(2 * SECOND, events(8, 2));
    assert_eq!(signs.level(2 * SECOND), Pressure::Tight);
    signs.note_events(3 * SECOND, events(8, 3));
    assert_eq!(signs.level(3 * SECOND), Pressure::Critical);
    signs.note_events(4 * SECOND, events(8, 3));
    assert_eq!(signs.level(5 * SECOND - 1), Pressure::Critical);
    assert_eq!(signs.level(5 * SECOND), Pressure::Calm);
    // Another group's counts are higher; that is no rise.
    signs.forget();
    signs.note_events(6 * SECOND, events(100, 100));
    assert_eq!(signs.level(6 * SECOND), Pressure::Calm);
}

#[test]
fn time_spent_waiting_counts_from_a_tenth_on() {
    let mut signs = Signs::new();
    let stalled = |some_us, full_us| Stalled { some_us, full_us };
    assert!(signs.wants_stalled(0));
    signs.note_stalled(10 * SECOND, stalled(5_000_000, 1_000_000));
    assert!(!signs.wants_stalled(11 * SECOND));
    assert!(signs.wants_stalled(12 * SECOND));
    signs.note_stalled(12 * SECOND, stalled(5_200_000, 1_000_000));
    assert_eq!(
        signs.level(12 * SECOND),
        Pressure::Calm,
        "a tenth is not more"
    );
    signs.note_stalled(14 * SECOND, stalled(5_400_001, 1_000_000));
    assert_eq!(signs.level(14 * SECOND), Pressure::Tight);
    signs.note_stalled(16 * SECOND, stalled(5_700_000, 1_200_001));
    assert_eq!(signs.level(16 * SECOND), Pressure::Critical);
    // Counts that go backwards are another group's.
    signs.note_stalled(20 * SECOND, stalled(0, 0));
    assert_eq!(signs.level(20 * SECOND), Pressure::Calm);
}
