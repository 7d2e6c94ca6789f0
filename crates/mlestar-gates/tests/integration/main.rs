//! Tests of the public interface.

mod messages;
mod properties;
mod serde_forms;
