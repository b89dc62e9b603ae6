//! Cause: why a program that ran left no figures, as a sentence for the screen.

use crate::launch::program::Obstacle;
use crate::launch::{HowEnded, Library};
use crate::report::Unreadable;

/// The likeliest reason, and the cure where there is one.
pub(crate) fn of_missing_figures(
    why: &Unreadable,
    obstacle: Option<&Obstacle>,
    library: &Library,
    how: HowEnded,
) -> String {
    let shown = library.path().display();
    match (why, obstacle) {
        (Unreadable::Missing | Unreadable::Truncated(0), Some(obstacle)) => {
            format!("{obstacle}. It ran on its own allocator.")
        }
        (Unreadable::Missing | Unreadable::Truncated(0), None) if !library.can_report() => {
            format!("{shown} does not write reports; is it jemoxide's, and of this version?")
        }
        (Unreadable::Missing | Unreadable::Truncated(0), None) => match how {
            HowEnded::Exit(_) => {
                "The program ended before its first allocation, or brings its own \
                                  allocator, or could not write its report."
                    .to_owned()
            }
            HowEnded::Signal { .. } => {
                "The program was killed before its first allocation.".to_owned()
            }
        },
        (Unreadable::Truncated(length), _) => format!(
            "The report is cut off after {length} bytes: no room left in the temporary directory, or \
             {shown} is of another version than this command."
        ),
        (Unreadable::NotAReport, _) => {
            "Something else was found where the report should be.".to_owned()
        }
        (Unreadable::OtherLayout(layout), _) => format!(
            "{shown} is of another version than this command (report layout {layout}). \
             Build both anew: cargo build --release."
        ),
        (Unreadable::Refused(why), _) => format!("The report cannot be read: {why}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn each_cause_is_told_apart() {
        let library = Library::find(Some(Path::new("Cargo.toml"))).expect("a file");
        let exit = HowEnded::Exit(0);
        let obstacle = Obstacle::Static("/x/prog".into());
        let text = of_missing_figures(&Unreadable::Missing, Some(&obstacle), &library, exit);
        assert!(text.contains("/x/prog is statically linked"), "{text}");
        let text = of_missing_figures(&Unreadable::Missing, None, &library, exit);
        assert!(text.contains("does not write reports"), "{text}");
        let text = of_missing_figures(&Unreadable::OtherLayout(9), None, &library, exit);
        assert!(
            text.contains("layout 9") && text.contains("cargo build --release"),
            "{text}"
        );
        let text = of_missing_figures(&Unreadable::Truncated(12), Some(&obstacle), &library, exit);
        assert!(text.contains("after 12 bytes"), "{text}");
    }
}
