//! docs/operator/quickstart.md, every command as it stands there.

use std::path::Path;
use std::process::Command;

use quorate_e2e::binaries::{self, tool};
use quorate_e2e::kubernetes::{Image, Kubernetes};

/// The fenced blocks of shell commands, in their order.
pub fn blocks(page: &str) -> Vec<&str> {
    page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// What a user's shell has: the tools, and a kubeconfig.
pub fn shell(kubernetes: &Kubernetes) -> Command {
    let folder = |path: &Path| path.parent().unwrap().display().to_string();
    let (tools, own) = (folder(&tool("kubectl").unwrap()), folder(&binaries::plugin().unwrap()));
    let mut command = kubernetes.command("/bin/sh".as_ref());
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{tools}:{own}:{path}"));
    command
}

#[tokio::test]
async fn every_command_of_the_quickstart_works() {
    let repository = binaries::repository();
    let page = std::fs::read_to_string(repository.join("docs/operator/quickstart.md")).unwrap();
    let kubernetes = Kubernetes::builder().nodes(2).image(Image::Server).image(Image::Operator).start().await.unwrap();
    // A checkout of the user's: the files that commands make stay out of ours.
    let checkout = kubernetes.folder().join("checkout");
    std::fs::create_dir(&checkout).unwrap();
    for part in ["charts", "docs"] {
        std::os::unix::fs::symlink(repository.join(part), checkout.join(part)).unwrap();
    }
    let blocks = blocks(&page);
    assert!(blocks.len() >= 7, "{blocks:#?}");
    let mut all = String::new();
    for block in blocks {
        println!("{block}");
        let mut command = shell(&kubernetes);
        // Entering the network leaves the folder.
        command.args(["-euc", &format!("cd {}\n{block}", checkout.display())]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{text}");
        assert!(output.status.success(), "{block}\n{text}{}", String::from_utf8_lossy(&output.stderr));
        all += &text;
    }
    for shown in ["sample   3/3", "greeting\nhello", "default/sample: Running"] {
        assert!(all.contains(shown), "{shown:?} is not in {all}");
    }
    let left = kubernetes
        .kubectl(&["get", "pods,services,deployments,pvc,secrets,crds", "--all-namespaces", "--output=name"])
        .await
        .unwrap();
    let left = left.success().unwrap();
    assert!(!left.contains("sample") && !left.contains("quorate"), "{left}");
}
