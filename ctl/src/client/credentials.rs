//! Who we are, from `--user`, `--password` and `--auth-jwt-token`.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    sync::OnceLock,
};

use super::Error;
use crate::globals::Globals;

/// What to show the server.
pub enum Credentials {
    Token(String),
    Password { name: String, password: String },
}

impl Credentials {
    /// A token wins over a user; a user without a password is asked for it. Without a name or a password there is nobody to be.
    pub fn from_flags(globals: &Globals) -> Result<Option<Self>, Error> {
        if !globals.auth_jwt_token.is_empty() {
            return Ok(Some(Self::Token(globals.auth_jwt_token.clone())));
        }
        if globals.user.is_empty() {
            return Ok(None);
        }
        let (name, password) = if !globals.password.is_empty() {
            (globals.user.clone(), globals.password.clone())
        } else if let Some((name, password)) = globals.user.split_once(':') {
            (name.to_owned(), password.to_owned())
        } else {
            (globals.user.clone(), password_once(&globals.typed_password).map_err(Error::Password)?)
        };
        if name.is_empty() || password.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self::Password { name, password }))
    }
}

/// A command with several clients asks once.
fn password_once(typed: &OnceLock<String>) -> io::Result<String> {
    if let Some(password) = typed.get() {
        return Ok(password.clone());
    }
    let password = ask_password("Password: ")?;
    Ok(typed.get_or_init(|| password).clone())
}

/// Takes a line of standard input, without echo if that is a terminal. As in etcdctl, the question is there in any case, and
/// blanks around the answer don't count.
pub fn ask_password(question: &str) -> io::Result<String> {
    let stdin = io::stdin();
    let mut out = io::stdout();
    out.write_all(question.as_bytes())?;
    out.flush()?;
    let mut line = String::new();
    {
        let _silence = if stdin.is_terminal() { Some(Silence::start()?) } else { None };
        stdin.lock().read_line(&mut line)?;
    }
    // The end of the line that was typed wasn't shown either.
    writeln!(out)?;
    Ok(line.trim().to_owned())
}

/// Keeps the terminal from showing what is typed, until it is dropped.
struct Silence {
    before: libc::termios,
}

impl Silence {
    fn start() -> io::Result<Self> {
        // SAFETY: termios is plain data, for which all zeros is a value; tcgetattr fills it, and both calls take a descriptor
        // that this process owns and pointers that live across the call.
        let before = unsafe {
            let mut settings: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(libc::STDIN_FILENO, &mut settings) != 0 {
                return Err(io::Error::last_os_error());
            }
            settings
        };
        let mut silent = before;
        silent.c_lflag &= !libc::ECHO;
        Self::set(&silent)?;
        Ok(Self { before })
    }

    fn set(settings: &libc::termios) -> io::Result<()> {
        // SAFETY: the settings live across the call, which only reads them.
        if unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, settings) } == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // The terminal is as it was or gone; nothing is left to do here.
        let _ = Self::set(&self.before);
    }
}
