#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use serde_json::{Value, json};

use super::*;

/// Members that exist in memory alone.
#[derive(Clone, Debug, Default)]
struct Sim {
    found: Found,
    /// What each may log in with.
    passwords: BTreeMap<String, Option<String>>,
}

impl Sim {
    fn take(&mut self, change: &Change) {
        let found = &mut self.found;
        match change.clone() {
            Change::AddRole { role } => assert!(found.roles.insert(role, Permissions::new()).is_none(), "{change}"),
            Change::Allow { role, range, access } => drop(found.roles.get_mut(&role).unwrap().insert(range, access)),
            Change::Disallow { role, range } => drop(found.roles.get_mut(&role).unwrap().remove(&range).unwrap()),
            Change::DeleteRole { role } => {
                found.roles.remove(&role).unwrap();
                found.users.values_mut().for_each(|roles| roles.retain(|one| *one != role));
            }
            Change::AddUser { user, password, .. } => {
                assert!(found.users.insert(user.clone(), BTreeSet::new()).is_none(), "{change}");
                self.passwords.insert(user, password.map(|text| text.0));
            }
            Change::ChangePassword { user, password, .. } => {
                // etcd says yes, and leaves who has no password without one.
                let entry = self.passwords.get_mut(&user).unwrap();
                *entry = entry.take().map(|_| password.0);
            }
            Change::DeleteUser { user } => {
                assert!(!(found.is_enabled && user == ROOT), "root stays while authentication is on");
                found.users.remove(&user).unwrap();
            }
            Change::GrantRole { user, role } => {
                assert!(found.roles.contains_key(&role), "{change}: there is no such role");
                assert!(found.users.get_mut(&user).unwrap().insert(role), "{change}");
            }
            Change::RevokeRole { user, role } => assert!(found.users.get_mut(&user).unwrap().remove(&role), "{change}"),
            Change::Enable => {
                assert!(found.users[ROOT].contains(ROOT), "nobody could get in");
                found.is_enabled = true;
            }
            Change::Disable => found.is_enabled = false,
        }
    }

    /// One look that is interrupted after some changes; returns how many there were to do.
    fn look(&mut self, auth: &Value, secrets: &[(&str, &str)], known: &mut AuthStatus, limit: usize) -> usize {
        let wanted = self::wanted(&serde_json::from_value(auth.clone()).unwrap(), "a-root", |name, _| {
            let found = secrets.iter().find(|(secret, _)| *secret == name);
            found.map_or(Password::Missing("it is not there".to_owned()), |(name, text)| Password::Given {
                text: Text((*text).to_owned()),
                from: format!("{name}/{text}"),
            })
        });
        let mut status = intend(known.clone(), &wanted, "a-root", "1".to_owned());
        let changes = changes(&wanted, &self.found, &status, &Text("spare".to_owned()));
        for change in changes.iter().take(limit) {
            self.take(change);
            note(&mut status, change);
        }
        if changes.len() <= limit {
            settle(&mut status, &wanted);
        }
        *known = status;
        changes.len()
    }

    fn settle(&mut self, auth: &Value, secrets: &[(&str, &str)], known: &mut AuthStatus) {
        self.look(auth, secrets, known, usize::MAX);
        assert_eq!(self.look(auth, secrets, known, usize::MAX), 0, "{self:#?}");
    }

    fn may(&self, role: &str) -> Vec<(String, String, Access)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.found.roles[role].iter().map(|((key, end), access)| (text(key), text(end), *access)).collect()
    }
}

const SECRETS: [(&str, &str); 2] = [("a-root", "r"), ("app", "p")];

fn declared() -> Value {
    json!({
        "enabled": true,
        "roles": [{"name": "reader", "permissions": [{"access": "Read", "prefix": "app/"}, {"access": "Write", "key": "lock"}]}],
        "users": [
            {"name": "app", "passwordSecret": {"name": "app"}, "roles": ["reader"]},
            {"name": "robot", "roles": ["reader", "root"]},
        ],
    })
}

#[test]
fn what_is_declared_is_there_and_authentication_comes_last() {
    let (mut sim, mut known) = (Sim::default(), AuthStatus::default());
    sim.settle(&declared(), &SECRETS, &mut known);
    let text = str::to_owned;
    let wanted = vec![(text("app/"), text("app0"), Access::Read), (text("lock"), text(""), Access::Write)];
    assert_eq!(sim.may("reader"), wanted);
    assert_eq!(sim.found.users["robot"], BTreeSet::from([text("reader"), text(ROOT)]));
    assert_eq!((sim.passwords["app"].as_deref(), sim.passwords["robot"].as_deref()), (Some("p"), None));
    assert!(sim.found.is_enabled);
    assert_eq!(known.users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["app", "robot", "root"]);
}

#[test]
fn whatever_a_look_is_interrupted_at_the_next_one_goes_on() {
    let all = Sim::default().look(&declared(), &SECRETS, &mut AuthStatus::default(), 0);
    assert!(all > 8, "{all}");
    for limit in 0..all {
        for forgets in [true, false] {
            let (mut sim, mut known) = (Sim::default(), AuthStatus::default());
            sim.look(&declared(), &SECRETS, &mut known, limit);
            if forgets {
                // Killed before it could write down what it had done.
                known.users.iter_mut().for_each(|user| user.password = None);
            }
            sim.settle(&declared(), &SECRETS, &mut known);
            assert_eq!(sim.passwords["app"].as_deref(), Some("p"), "{limit}");
            sim.settle(&json!({"enabled": true}), &SECRETS, &mut known);
            assert_eq!(sim.found.users.keys().collect::<Vec<_>>(), [ROOT], "{limit}");
        }
    }
}

#[test]
fn each_way_in_which_the_two_differ_is_mended() {
    let mut narrow = declared();
    narrow["roles"][0]["permissions"] = json!([{"access": "Read", "key": "app/a"}]);
    let mut without = declared();
    without["users"] = json!([]);
    without["roles"] = json!([]);
    let mut by_certificate = declared();
    by_certificate["users"][0]["passwordSecret"] = Value::Null;
    let mut by_password = declared();
    by_password["users"][1]["passwordSecret"] = json!({"name": "app"});
    for (what, auth, secrets, is_so) in [
        ("a narrower role", &narrow, SECRETS, (|sim| sim.may("reader").len() == 1) as fn(&Sim) -> bool),
        ("nobody else", &without, SECRETS, |sim| sim.found.users.len() == 1 && sim.found.roles.len() == 1),
        ("another password", &declared(), [("a-root", "r2"), ("app", "p2")], |sim| {
            (sim.passwords["app"].as_deref(), sim.passwords[ROOT].as_deref()) == (Some("p2"), Some("r2"))
        }),
        ("no password any more", &by_certificate, SECRETS, |sim| sim.passwords["app"].is_none()),
        ("a password at last", &by_password, SECRETS, |sim| sim.passwords["robot"].as_deref() == Some("p")),
    ] {
        let (mut sim, mut known) = (Sim::default(), AuthStatus::default());
        sim.settle(&declared(), &SECRETS, &mut known);
        sim.settle(auth, &secrets, &mut known);
        assert!(is_so(&sim), "{what}: {sim:#?}");
    }
}

#[test]
fn what_was_changed_by_hand_comes_back_and_what_was_made_by_hand_stays() {
    let (mut sim, mut known) = (Sim::default(), AuthStatus::default());
    sim.settle(&declared(), &SECRETS, &mut known);
    sim.found.is_enabled = false;
    sim.found.users.remove("robot");
    sim.found.users.get_mut("app").unwrap().insert("theirs".to_owned());
    sim.found.roles.get_mut("reader").unwrap().insert((vec![0], vec![0]), Access::ReadWrite);
    sim.found.roles.insert("theirs".to_owned(), Permissions::new());
    sim.found.users.insert("somebody".to_owned(), BTreeSet::new());
    sim.settle(&declared(), &SECRETS, &mut known);
    assert!(sim.found.is_enabled && sim.found.users.contains_key("robot"));
    assert_eq!((sim.may("reader").len(), sim.found.users["app"].len()), (2, 1));
    sim.settle(&json!({"enabled": true}), &SECRETS, &mut known);
    assert!(sim.found.users.contains_key("somebody") && sim.found.roles.contains_key("theirs"));
}

#[test]
fn a_user_without_its_secret_waits_alone_and_root_is_there_all_the_same() {
    let (mut sim, mut known) = (Sim::default(), AuthStatus::default());
    sim.settle(&declared(), &[], &mut known);
    assert!(sim.found.is_enabled && !sim.found.users.contains_key("app") && sim.found.users.contains_key("robot"));
    assert_eq!(sim.passwords[ROOT].as_deref(), Some("spare"));
    sim.settle(&declared(), &SECRETS, &mut known);
    assert_eq!((sim.passwords[ROOT].as_deref(), sim.passwords["app"].as_deref()), (Some("r"), Some("p")));
    // One that is lost later changes nothing.
    sim.settle(&declared(), &[], &mut known);
    assert_eq!(sim.passwords["app"].as_deref(), Some("p"));
}

#[test]
fn passwords_of_a_backup_give_way_to_those_of_the_secrets() {
    let (mut sim, mut known) = (Sim::default(), AuthStatus::default());
    sim.settle(&declared(), &SECRETS, &mut known);
    sim.passwords = sim.passwords.keys().map(|user| (user.clone(), Some("old".to_owned()))).collect();
    known.cluster_id = Some("2".to_owned());
    sim.settle(&declared(), &SECRETS, &mut known);
    let passwords: Vec<_> = sim.passwords.iter().map(|(user, text)| (user.as_str(), text.as_deref())).collect();
    assert_eq!(passwords, [("app", Some("p")), ("robot", None), (ROOT, Some("r"))]);
}

#[test]
fn ranges_are_as_etcdctl_makes_them() {
    for (permission, wanted) in [
        (json!({"key": "a"}), (b"a".to_vec(), vec![])),
        (json!({"key": "a", "rangeEnd": "c"}), (b"a".to_vec(), b"c".to_vec())),
        (json!({"prefix": "a/"}), (b"a/".to_vec(), b"a0".to_vec())),
        (json!({"prefix": "ä"}), ("ä".into(), vec![0xc3, 0xa5])),
        (json!({"prefix": ""}), (vec![0], vec![0])),
    ] {
        let mut permission = permission;
        permission["access"] = json!("Read");
        assert_eq!(range(&serde_json::from_value(permission.clone()).unwrap()), wanted, "{permission}");
    }
    let twice = json!({"roles": [{"name": "r", "permissions": [{"access": "Read", "key": "a"}, {"access": "Write", "key": "a"}]}]});
    let wanted = wanted(&serde_json::from_value(twice).unwrap(), "s", |_, _| Password::None);
    assert_eq!(wanted.roles["r"].values().collect::<Vec<_>>(), [&Access::ReadWrite]);
}

#[test]
fn a_password_is_never_printed() {
    let change = Change::AddUser { user: "app".to_owned(), password: Some(Text("secret".to_owned())), from: None };
    assert!(!format!("{change} {change:?}").contains("secret"));
}
