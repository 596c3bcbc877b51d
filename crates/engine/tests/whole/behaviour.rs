//! placeholder, next
