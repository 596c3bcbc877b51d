//! Placeholder of the room; filled in the next commits.
