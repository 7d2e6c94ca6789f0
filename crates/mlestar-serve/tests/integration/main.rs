//! The server from outside, over TCP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

mod client;
mod connections;
mod damage;
mod images;
mod models;
mod overload;
mod pages;
mod plain;
mod protocol;
mod reload;
mod security;
mod shutdown;
#[cfg(all(unix, feature = "cli"))]
mod signals;
