//! The yardstick once more, with Vestibule's allocator: what is left between the two is Vestibule's own.

#[path = "bare_pingora.rs"]
mod bare_pingora;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    bare_pingora::main()
}
