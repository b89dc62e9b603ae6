//! More names for one function.

/// Gives functions of this crate further names: `function => "name", "name";`. After `weak`, a program's own
/// definition of a name wins, also in a static link, as C++ allows for its operators.
macro_rules! names {
    (weak: $($function:ident => $($name:literal),*;)*) => {
        $(names!(@define $function, ".weak ", $($name),*);)*
    };
    ($($function:ident => $($name:literal),*;)*) => {
        $(names!(@define $function, ".globl ", $($name),*);)*
    };
    (@define $function:ident, $binding:literal, $($name:literal),*) => {
        core::arch::global_asm!(
            $(
                concat!($binding, $name),
                concat!(".type ", $name, ", @function"),
                concat!(".set ", $name, ", {function}"),
            )*
            function = sym $function,
        );
    };
}
pub(crate) use names;
