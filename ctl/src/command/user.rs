//! `etcdctl user`

use std::io::{self, BufRead};

use quorate_proto::{
    authpb::UserAddOptions,
    etcdserverpb::{
        AuthRoleGetRequest, AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest,
        AuthUserGetRequest, AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest,
    },
};

use super::Session;
use crate::{
    client::{self, Client},
    failure::Failure,
    globals,
    output::{AuthChange, Role, User as UserReply, write_line},
};

#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum User {
    /// Adds a new user
    Add(Add),
    /// Deletes a user
    Delete {
        #[arg(value_name = "NAME")]
        args: Vec<String>,
    },
    /// Gets detailed information of a user
    Get {
        /// Show permissions of roles granted to the user
        #[arg(long)]
        detail: bool,
        #[arg(value_name = "NAME")]
        args: Vec<String>,
    },
    /// Lists all users
    List {
        #[arg(hide = true)]
        args: Vec<String>,
    },
    /// Changes password of user
    Passwd {
        #[command(flatten)]
        typed: Typed,
        #[arg(value_name = "NAME")]
        args: Vec<String>,
    },
    /// Grants a role to a user
    GrantRole {
        #[arg(value_name = "NAME ROLE")]
        args: Vec<String>,
    },
    /// Revokes a role from a user
    RevokeRole {
        #[arg(value_name = "NAME ROLE")]
        args: Vec<String>,
    },
}

#[derive(clap::Args, Clone, Debug)]
pub(super) struct Add {
    #[command(flatten)]
    typed: Typed,
    /// Supply password from the command line flag
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    new_user_password: String,
    /// Create a user without password (CN based auth only)
    #[arg(long)]
    no_password: bool,
    #[arg(value_name = "NAME[:PASSWORD]")]
    args: Vec<String>,
}

/// How a password is typed.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct Typed {
    /// Ask for the password twice; without it the first word of standard input is taken
    #[arg(long, action = clap::ArgAction::Set, default_value = "true", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", value_parser = globals::parse_bool)]
    interactive: bool,
}

impl User {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let open = Client::open(&session.globals);
        let (done, header) = match self {
            User::Add(add) => return add.run(&session).await,
            User::Get { detail, args } => return get(&session, only(&args, "user get")?, detail).await,
            User::List { args } => {
                if !args.is_empty() {
                    return Err(Failure::bad_args("user list command requires no arguments"));
                }
                return session.output.print(&open.await?.call(AuthUserListRequest {}).await?);
            }
            User::Delete { args } => {
                let name = only(&args, "user delete")?;
                let reply = open.await?.call(AuthUserDeleteRequest { name: name.clone() }).await?;
                (format!("User {name} deleted"), reply.header)
            }
            User::Passwd { typed, args } => {
                let name = only(&args, "user passwd")?.clone();
                let password = typed.password_of(&name)?;
                let request = AuthUserChangePasswordRequest { name, password, ..Default::default() };
                ("Password updated".to_owned(), open.await?.call(request).await?.header)
            }
            User::GrantRole { args } => {
                let [user, role] = pair(args, "user grant command requires user name and role name as its argument")?;
                let done = format!("Role {role} is granted to user {user}");
                (done, open.await?.call(AuthUserGrantRoleRequest { user, role }).await?.header)
            }
            User::RevokeRole { args } => {
                let [name, role] = pair(args, "user revoke-role requires user name and role name as its argument")?;
                let done = format!("Role {role} is revoked from user {name}");
                (done, open.await?.call(AuthUserRevokeRoleRequest { name, role }).await?.header)
            }
        };
        session.output.print(&AuthChange { done, header })
    }
}

fn only<'a>(args: &'a [String], command: &str) -> Result<&'a String, Failure> {
    match args {
        [name] => Ok(name),
        _ => Err(Failure::bad_args(format!("{command} command requires user name as its argument"))),
    }
}

fn pair(args: Vec<String>, missing: &str) -> Result<[String; 2], Failure> {
    args.try_into().map_err(|_| Failure::bad_args(missing))
}

async fn get(session: &Session, name: &str, detail: bool) -> Result<(), Failure> {
    let mut client = Client::open(&session.globals).await?;
    let reply = client.call(AuthUserGetRequest { name: name.to_owned() }).await?;
    if !detail {
        return session.output.print(&UserReply { name: name.to_owned(), reply });
    }
    write_line(&format!("User: {name}"))?;
    for role in reply.roles {
        write_line("")?;
        let reply = client.call(AuthRoleGetRequest { role: role.clone() }).await?;
        session.output.print(&Role { name: role, reply })?;
    }
    Ok(())
}

impl Add {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let argument = only(&self.args, "user add")?;
        let (name, password) = self.name_and_password(argument)?;
        let request = AuthUserAddRequest {
            name: name.clone(),
            password,
            options: Some(UserAddOptions { no_password: self.no_password }),
            ..Default::default()
        };
        let header = Client::open(&session.globals).await?.call(request).await?.header;
        session.output.print(&AuthChange { done: format!("User {name} created"), header })
    }

    fn name_and_password(&self, argument: &str) -> Result<(String, String), Failure> {
        if self.no_password {
            return Ok((argument.to_owned(), String::new()));
        }
        if !self.new_user_password.is_empty() {
            return Ok((argument.to_owned(), self.new_user_password.clone()));
        }
        match argument.split_once(':') {
            Some(("", _)) => Err(Failure::bad_args("empty user name is not allowed")),
            Some((name, password)) => Ok((name.to_owned(), password.to_owned())),
            None => Ok((argument.to_owned(), self.typed.password_of(argument)?)),
        }
    }
}

impl Typed {
    fn password_of(self, name: &str) -> Result<String, Failure> {
        let failed = |error: io::Error| Failure::bad_args(format!("failed to ask password: {error}"));
        if !self.interactive {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map_err(failed)?;
            return Ok(line.split_whitespace().next().unwrap_or_default().to_owned());
        }
        let password = client::ask_password(&format!("Password of {name}: ")).map_err(failed)?;
        if password.is_empty() {
            return Err(Failure::bad_args("empty password"));
        }
        let again = format!("Type password of {name} again for confirmation: ");
        if client::ask_password(&again).map_err(failed)? != password {
            return Err(Failure::bad_args("given passwords are different"));
        }
        Ok(password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(argument: &str, new_user_password: &str, no_password: bool) -> Option<(String, String)> {
        let typed = Typed { interactive: true };
        let add = Add { typed, new_user_password: new_user_password.to_owned(), no_password, args: Vec::new() };
        add.name_and_password(argument).ok()
    }

    #[test]
    fn a_colon_parts_name_and_password_unless_the_password_is_given_elsewhere() {
        let user = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(taken("a:b:c", "", false), user("a", "b:c"));
        assert_eq!(taken("a:b", "p", false), user("a:b", "p"));
        assert_eq!(taken("a:b", "p", true), user("a:b", ""));
        assert_eq!(taken(":b", "", false), None);
    }
}
