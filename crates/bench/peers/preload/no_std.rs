// Included by the members that hold nothing but a C library: a panic handler that nobody reaches, so that
// Rust's standard library stays out of what is preloaded.

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
