//! Users, roles and what they may do, typed into upstream's etcdctl and ours, print the same.

use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::transcript::{Step, asked, difference, record, step, typed};

/// On whose servers; upstream's is what they are compared with.
const SERVERS: [Flavour; 2] = [Flavour::Upstream, Flavour::Quorate];

/// Users while nobody is asked who they are.
const USERS: &[Step] = &[
    step("user list"),
    step("user list -w json"),
    step("user add"),
    step("user add a b"),
    step("user add :secret"),
    step("user add alice:secret"),
    step("user add alice:other"),
    step("user add bob --new-user-password=secret -w json"),
    step("user add carol:ignored --new-user-password secret -w fields"),
    step("user add dave --no-password"),
    step("user add erin:secret -w table"),
    step("user add frank:secret -w nonsense"),
    step("user add grace --interactive=maybe"),
    typed("user add grace --interactive=false", "secret more\n"),
    typed("user add heidi --interactive=false", "\n"),
    typed("user add ivan --interactive=false", ""),
    asked("user add judy", &[("Password of judy: ", "secret"), ("again for confirmation: ", "secret")]),
    asked("user add mallory", &[("Password of mallory: ", "secret"), ("again for confirmation: ", "terces")]),
    asked("user add mallory", &[("Password of mallory: ", "")]),
    asked("user add blank", &[("Password of blank: ", "  secret "), ("again for confirmation: ", "secret")]),
    step("user list"),
    step("user list -w json"),
    step("user list -w fields"),
    step("user list -w table"),
    step("user list me"),
    step("user passwd"),
    step("user passwd alice bob"),
    typed("user passwd nobody --interactive=false", "secret"),
    typed("user passwd alice --interactive=false", "changed"),
    typed("user passwd alice --interactive=false -w json", "changed"),
    typed("user passwd alice --interactive=false -w fields", "changed"),
    asked("user passwd alice", &[("Password of alice: ", "new"), ("again for confirmation: ", "new")]),
    asked("user passwd alice", &[("Password of alice: ", "new"), ("again for confirmation: ", "old")]),
    step("user get"),
    step("user get alice bob"),
    step("user get nobody"),
    step("user get alice"),
    step("user get alice -w json"),
    step("user get alice -w fields"),
    step("user get alice -w table"),
    step("user get alice --detail"),
    step("user grant-role alice"),
    step("user grant-role alice nothing"),
    step("user revoke-role alice"),
    step("user revoke-role alice nothing"),
    step("user delete"),
    step("user delete nobody"),
    step("user delete carol -w json"),
    step("user del dave"),
];

/// Roles and permissions.
const ROLES: &[Step] = &[
    step("role list"),
    step("role list -w json"),
    step("role list -w fields"),
    step("role add"),
    step("role add a b"),
    step("role add reader"),
    step("role add reader"),
    step("role add writer -w json"),
    step("role add both -w fields"),
    step("role add spare -w table"),
    step("role grant-permission reader read"),
    step("role grant-permission reader look key"),
    step("role grant-permission nobody read key"),
    step("role grant-permission reader read key"),
    step("role grant-permission reader READ a c"),
    step("role grant-permission reader read dir/ --prefix"),
    step("role grant-permission reader read z --from-key"),
    step("role grant-permission writer write dir/ dir0 -w json"),
    step("role grant-permission writer readwrite b a"),
    step("role grant-permission writer write a --prefix --from-key"),
    step("role grant-permission writer write a b --prefix"),
    step("role grant-permission writer write a b --from-key"),
    step("role grant-permission writer write a b c"),
    step("role grant-permission both readwrite k -w fields"),
    step("role grant-permission both readwrite  --prefix"),
    step("role list"),
    step("role list -w json"),
    step("role list -w fields"),
    step("role list -w table"),
    step("role list me"),
    step("role get"),
    step("role get nobody"),
    step("role get reader"),
    step("role get reader -w json"),
    step("role get reader -w fields"),
    step("role get reader -w table"),
    step("role get writer"),
    step("role get both"),
    step("role get both -w json"),
    step("user add alice:secret"),
    step("user grant-role alice reader"),
    step("user grant-role alice reader"),
    step("user grant-role alice writer -w json"),
    step("user grant-role alice both -w fields"),
    step("user get alice"),
    step("user get alice -w json"),
    step("user get alice --detail"),
    step("user get alice --detail -w json"),
    step("user revoke-role alice reader"),
    step("user revoke-role alice writer -w json"),
    step("user revoke-role alice reader"),
    step("role revoke-permission reader"),
    step("role revoke-permission reader nothing"),
    step("role revoke-permission nobody key"),
    step("role revoke-permission reader key"),
    step("role revoke-permission reader a c -w json"),
    step("role revoke-permission reader dir/ --prefix"),
    step("role revoke-permission reader z --from-key"),
    step("role revoke-permission writer dir/ dir0"),
    step("role revoke-permission writer a b c"),
    step("role revoke-permission both  --prefix"),
    step("role get reader"),
    step("role delete"),
    step("role delete nobody"),
    step("role delete reader"),
    step("role del both -w json"),
    step("user get alice"),
];

/// Authentication on and off, and what it changes.
const AUTH: &[Step] = &[
    step("auth status"),
    step("auth status -w json"),
    step("auth status -w fields"),
    step("auth status -w table"),
    step("auth status now"),
    step("auth enable now"),
    step("auth disable now"),
    step("auth enable"),
    step("--user=root:any put k 1"),
    step("user add root:secret"),
    step("user add alice:secret"),
    step("role add keys"),
    step("role grant-permission keys readwrite k"),
    step("user grant-role alice keys"),
    step("auth enable"),
    step("auth status"),
    step("--user=root:secret auth status"),
    step("role get root"),
    step("--user=root:secret role get root"),
    step("--user=root:secret user get root --detail"),
    step("auth enable"),
    step("--user=root:secret auth enable"),
    step("get k"),
    step("put k v"),
    step("--user=root:wrong get k"),
    step("--user=nobody:secret get k"),
    step("--user=root: get k"),
    step("--user=:secret get k"),
    step("--user=root --password=secret get k"),
    step("--user=root:secret --password=secret get k"),
    asked("--user=root get k", &[("Password: ", "secret")]),
    asked("--user=root get k", &[("Password: ", "wrong")]),
    asked("--user=root get k", &[("Password: ", "")]),
    step("--auth-jwt-token=nonsense get k"),
    step("--auth-jwt-token=nonsense --user=root:secret get k"),
    step("--user=alice:secret put k v"),
    step("--user=alice:secret get k"),
    step("--user=alice:secret get other"),
    step("--user=alice:secret put other v"),
    step("--user=alice:secret get k --prefix"),
    step("--user=alice:secret del k --prefix"),
    step("--user=alice:secret watch other"),
    typed("--user=alice:secret txn", "\nput other v\n\n\n"),
    step("--user=alice:secret user list"),
    step("--user=alice:secret user get alice"),
    step("--user=alice:secret user get root"),
    step("--user=alice:secret role get keys"),
    step("--user=alice:secret role get root"),
    step("--user=alice:secret role add more"),
    step("--user=alice:secret user add mallory:secret"),
    typed("--user=alice:secret user passwd alice --interactive=false", "changed"),
    step("--user=alice:secret compaction 2"),
    step("--user=alice:secret defrag"),
    step("--user=alice:secret alarm list"),
    step("--user=alice:secret member list -w simple"),
    step("--user=alice:secret endpoint health"),
    step("--user=alice:secret auth disable"),
    step("--user=root:secret user delete root"),
    step("--user=root:secret role delete root"),
    step("--user=root:secret user revoke-role root root"),
    step("--user=root:secret auth disable"),
    step("auth disable"),
    step("auth status"),
    step("--user=root:wrong get k"),
];

async fn session(server: Flavour, client: Flavour, steps: &[Step]) -> String {
    let cluster = Cluster::single(server).await.unwrap();
    let ctl = Ctl::etcdctl(client, &cluster.endpoints()).unwrap();
    record(&ctl, steps).await.unwrap()
}

async fn check(part: &str, steps: &[Step]) {
    let expected = session(Flavour::Upstream, Flavour::Upstream, steps).await;
    // Shown when the test fails: what was compared.
    println!("=== {part}\n{expected}");
    for server in SERVERS {
        let got = session(server, Flavour::under_test(), steps).await;
        let differences = difference(part, &expected, &got);
        assert!(differences.is_empty(), "on a server of {server}:\n{differences}");
    }
}

#[tokio::test]
async fn users_are_added_changed_and_deleted_as_with_upstream() {
    check("users", USERS).await;
}

#[tokio::test]
async fn roles_and_permissions_read_as_with_upstream() {
    check("roles", ROLES).await;
}

#[tokio::test]
async fn who_may_do_what_is_told_as_with_upstream() {
    check("auth", AUTH).await;
}

#[tokio::test]
async fn the_protobuf_format_is_the_reply() {
    for server in SERVERS {
        let cluster = Cluster::single(server).await.unwrap();
        let [ours, theirs] = [Flavour::under_test(), Flavour::Upstream]
            .map(|flavour| Ctl::etcdctl(flavour, &cluster.endpoints()).unwrap());
        let setup = "user add a:b,role add r,role grant-permission r read k l,user grant-role a r";
        for line in setup.split(',') {
            theirs.run(&line.split(' ').collect::<Vec<_>>()).await.unwrap().success().unwrap();
        }
        for line in ["user list", "user get a", "role list", "role get r", "auth status", "downgrade validate 3.6"] {
            let line: Vec<&str> = line.split(' ').chain(["-w", "protobuf"]).collect();
            assert_eq!(ours.run(&line).await.unwrap(), theirs.run(&line).await.unwrap(), "{line:?}");
        }
    }
}
