//! Takes runs from the queue and carries them out.
