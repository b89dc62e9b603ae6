//! Runs that sleep: the longest go first and serve first, and make room for guards and where addresses are short.

use super::*;

/// An object of so many pages that has gone to sleep.
fn sleeper(pages: usize) -> *mut u8 {
    let object = malloc(pages * PAGE);
    assert_eq!(dealloc(object, &FREE), Some(Ok(pages * PAGE)));
    object
}

#[test]
fn the_longest_sleepers_go_first_and_serve_first() {
    alone(|| {
        prepare(Hardening::Paranoid, 0, 0);
        let many: Vec<*mut u8> = (10..40).map(sleeper).collect();
        check();
        assert!(many.iter().all(|&object| owns(object)));
        assert_eq!(many[0], malloc(10 * PAGE), "of its class");
        assert!(!many.contains(&malloc(9 * PAGE)));
        let (misuse, about) = explain(many[5].addr()).unwrap();
        assert!(misuse == Misuse::UseAfterFree && about.is_some_and(|about| about.is_free));
        assert!(matches!(
            dealloc(many[5], &FREE),
            Some(Err(Misuse::DoubleFree))
        ));

        // Less may sleep from now on: with one more the oldest go. Each has two guards.
        asleep::set_most_bytes(8 * 42 * PAGE);
        sleeper(40);
        check();
        let stay: Vec<bool> = many.iter().map(|&object| owns(object)).collect();
        let gone = stay.iter().skip(1).filter(|stays| !**stays).count();
        assert!(
            gone > 0 && stay[1..=gone].iter().all(|stays| !stays),
            "{stay:?}"
        );
        assert!(stay[gone + 1..].iter().all(|&stays| stays), "{stay:?}");
        assert!(!owns(sleeper(41)), "too long for any to sleep");

        // Of one class too.
        let twins = [0; 3].map(|_| malloc(12 * PAGE));
        for object in twins {
            assert_eq!(dealloc(object, &FREE), Some(Ok(12 * PAGE)));
        }
        assert_eq!(twins, [0; 3].map(|_| malloc(12 * PAGE)));
        assert!(!misuse::is_any());
    });
}

#[test]
fn sleepers_make_room_for_guards_and_where_addresses_are_short() {
    alone(|| {
        prepare(Hardening::Paranoid, 0, 0);
        sleeper(100);
        guard::set_most(guard::mappings() + 2);
        let object = malloc(5 * PAGE);
        assert_eq!(guard::sleepers(), 0, "its mappings were needed");
        assert!(
            find(object)
                .is_some_and(|found| matches!(found, Found::Large(large) if large.is_guarded()))
        );
        guard::set_most(1 << 16);

        let second = sleeper(100);
        assert!(!large::relieve(103 * PAGE) && owns(second), "no help");
        assert!(large::relieve(102 * PAGE) && !owns(second));
        check();

        // Where the system sets no bound they are not what is short; nor are they for what no bound has room for.
        let third = sleeper(100);
        relieve_addresses(PAGE);
        bound_addresses(1 << 40);
        relieve_addresses(1 << 41);
        assert!(owns(third));
        relieve_addresses(300 * PAGE);
        assert!(!owns(third), "however few they are");
        check();
    });
}

/// Has the system bound the addresses of the process.
fn bound_addresses(bytes: usize) {
    let bound = libc::rlimit {
        rlim_cur: bytes as _,
        rlim_max: bytes as _,
    };
    // SAFETY: a bound of this process.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &bound) }, 0);
}

#[test]
fn an_object_is_live_from_when_it_is_in_the_list() {
    alone(|| {
        prepare(Hardening::Paranoid, 0, 0);
        let object = sleeper(10);
        let ask = ask(10 * PAGE, 1);
        for _ in 0..2 {
            // First the sleeper, then another.
            let large = large::furnish(&ask).unwrap();
            let now = large.object();
            assert!(owns(now));
            assert_eq!(inspect(now), Some(Err(Misuse::DoubleFree)));
            assert!(!resize(now, 9 * PAGE, None));
            let again = dealloc(object, &FREE);
            assert_eq!(again, Some(Err(Misuse::DoubleFree)));
            check();
        }
    });
}
