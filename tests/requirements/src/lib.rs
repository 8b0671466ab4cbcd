//! Which sentence of which RFC is obeyed where, and the tests that show it.
//!
//! The tables (`9113.tsv` and its neighbours) have a row for every sentence of an RFC that carries a keyword of RFC 2119.
//! A test says with [`req!`] which rows it shows, and when it has run to its end, that is written into the file named by
//! the environment variable `REQ_LOG`. The command of this crate holds the tables against that file.

mod evidence;
pub mod sources;
pub mod table;

pub use evidence::{Evidence, counted};

/// Says which requirements the rest of a test shows: `req!("9113-6.3-01", "9113-6.3-02");`, as its first line, or behind
/// the point where it may have been skipped.
///
/// Where the test reaches its end (and does not panic), each id is appended to the file that `REQ_LOG` names. Without
/// `REQ_LOG` nothing happens. In a property test the first case that passes counts.
///
/// ```
/// use shuntyard_requirements::req;
///
/// fn a_test() {
///     req!("9113-6.7-02");
///     assert_eq!(1 + 1, 2);
/// }
/// a_test();
/// ```
#[macro_export]
macro_rules! req {
    ($($id:literal),+ $(,)?) => {
        let _evidence = {
            fn here() {}
            $crate::Evidence::of(&[$($id),+], file!(), std::any::type_name_of_val(&here))
        };
    };
}
