//! How many threads compute.

/// Sets the size of the thread pool that kernels, loaders and readers share. Only the first call in
/// a process has an effect, and only before anything has been computed; returns whether it had.
pub fn set_threads(threads: usize) -> bool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .is_ok()
}
