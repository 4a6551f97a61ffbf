//! What this process does with the memory that it frees. Not here: who needs how much.

/// Keeps freed memory for the next buffer of its size, from now on. Where a process makes the same large buffers again and
/// again (the steps of a training, the row groups of an export), glibc gives each back to the kernel and fetches it again,
/// which costs up to half of the time. What was freed before goes back first.
pub fn keep_freed() {
    #[allow(unsafe_code, reason = "the settings of the allocator have no safe binding")]
    // SAFETY: malloc_trim gives back free pages and mallopt changes parameters; both may be called at any time.
    unsafe {
        libc::malloc_trim(0);
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
}
