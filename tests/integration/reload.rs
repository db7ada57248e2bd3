//! Change without downtime: the configuration is read again, all of it or nothing, and whoever is there notices nothing.

mod in_process;
mod process;
