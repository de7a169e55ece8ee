//! The program as a person meets it, on the real kernel, in private hosts with a real registry.
//!
//! The program is the one that was just built, or that `DEVOXX_CONTAINER` names. Needs root and `tests/fixtures.sh`.

mod answers;
mod bad_input;
mod boot;
mod cdi;
mod commands;
mod complaints;
mod copy;
mod demo;
mod ends;
mod events;
mod examples;
mod exec;
mod explain;
mod formats;
mod full_disk;
mod images;
mod images_choice;
mod images_verbs;
mod installed;
mod isolation;
mod killed;
mod lifecycle;
mod limits;
mod log_drivers;
mod messages;
mod neighbours;
mod network;
mod networks_rootless;
mod networks_verbs;
mod options;
mod overwritten;
#[cfg(target_arch = "x86_64")]
mod passing_errors;
mod progress;
mod readers;
mod readme;
mod registries;
mod rootfs;
mod rootless;
mod run_basic;
mod scenario;
mod seccomp;
mod shells;
mod show;
mod signals;
mod system;
mod terminal;
mod userns;
mod userns_files;
mod userns_rootless;
mod volumes;
mod volumes_verbs;
mod world;
