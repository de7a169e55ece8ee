//! `login` and `logout`: credentials of registries, kept where docker keeps them.

use crate::place::{credentials, print};
use engine::{Error, Kind, Result};
use std::io::{IsTerminal, Read};
use sys::called;

/// Check credentials at a registry and keep them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container login --username ana registry.example.com <password\n  devoxx-container login -u ana --password-stdin <password\n  pass show registry | devoxx-container login -u ana registry.example.com"
)]
pub struct Login {
    /// Host of the registry
    #[arg(default_value = "docker.io")]
    registry: String,
    /// User name
    #[arg(short, long)]
    username: String,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Password; visible to others on this machine
    #[arg(short, long, conflicts_with = "password_stdin")]
    password: Option<String>,
}

/// Forget credentials of a registry
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container logout\n  devoxx-container logout registry.example.com"
)]
pub struct Logout {
    /// Host of the registry
    #[arg(default_value = "docker.io")]
    registry: String,
}

/// `login`.
pub fn login(arguments: &Login) -> Result<i32> {
    let password = match &arguments.password {
        Some(password) => password.clone(),
        None => {
            if std::io::stdin().is_terminal() {
                return Err(Error::new(Kind::Usage, "the password is read from standard input")
                    .with_hint("pipe it in, with --password-stdin"));
            }
            let mut text = String::new();
            std::io::stdin()
                .take(64 * 1024)
                .read_to_string(&mut text)
                .map_err(called(|| "read(stdin)".to_owned()))?;
            text.trim_end_matches(['\n', '\r']).to_owned()
        }
    };
    engine::login(&credentials(), &arguments.registry, &arguments.username, &password)?;
    print("Login Succeeded")?;
    Ok(0)
}

/// `logout`.
pub fn logout(arguments: &Logout) -> Result<i32> {
    let known = engine::logout(&credentials(), &arguments.registry)?;
    let text = if known { "Removed login credentials for" } else { "Not logged in to" };
    print(&format!("{text} {}", arguments.registry))?;
    Ok(0)
}
