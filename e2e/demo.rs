//! `make demo`: a Kubernetes on this machine with the operator and a cluster of three, until Ctrl-C.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use quorate_e2e::kubernetes::{Datastore, Image, Kubernetes};
use quorate_e2e::{Error, binaries};

#[derive(Parser)]
struct Arguments {
    /// How many nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=3))]
    nodes: u8,
    /// Three members of this repository's keep the objects of Kubernetes, not one of upstream's.
    #[arg(long)]
    quorate: bool,
    /// Kubernetes alone, without the operator and a cluster.
    #[arg(long)]
    bare: bool,
    /// Ends when all is up, and not at Ctrl-C.
    #[arg(long)]
    once: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let stopped = || Error::io("waiting for Ctrl-C");
    tokio::select! {
        done = up(&arguments) => {
            let _kubernetes = done?;
            if !arguments.once {
                tokio::signal::ctrl_c().await.map_err(stopped())?;
                println!("\nEverything is taken down.");
            }
            Ok(())
        }
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(stopped()),
    }
}

async fn up(arguments: &Arguments) -> Result<Kubernetes, Error> {
    let datastore = if arguments.quorate { Datastore::Quorate } else { Datastore::Upstream };
    let mut builder = Kubernetes::builder().nodes(arguments.nodes.into()).datastore(datastore);
    for image in [Image::Server, Image::Debug, Image::Operator] {
        builder = builder.image(image);
    }
    println!("Starting Kubernetes with {} nodes …", arguments.nodes);
    let kubernetes = builder.start().await?;
    if !arguments.bare {
        println!("Installing the operator, and a cluster of three …");
        install(&kubernetes).await?;
    }
    let shell = binaries::own_dir().join("demo");
    write_script(&kubernetes, &shell)?;
    let shell = shell.display();
    println!("\nIt runs until Ctrl-C here. In another terminal:\n");
    println!("  {shell} kubectl get nodes");
    if !arguments.bare {
        println!("  {shell} kubectl get etcdclusters,etcdmembers,pods -o wide");
        println!("  {shell} kubectl quorate status sample --watch");
        println!("  {shell} kubectl scale etcdcluster/sample --replicas=5");
        println!("  {shell} kubectl exec service/sample-client -- /usr/local/bin/etcdctl \\");
        println!("      --cacert=/etc/etcd/server-tls/ca.crt --cert=/etc/etcd/server-tls/tls.crt \\");
        println!("      --key=/etc/etcd/server-tls/tls.key put greeting hello");
        println!("  {shell} kubectl drain node-2 --ignore-daemonsets --delete-emptydir-data");
    }
    println!("  {shell} bash    # a shell among the pods, with kubectl, helm and etcdctl");
    Ok(kubernetes)
}

async fn install(kubernetes: &Kubernetes) -> Result<(), Error> {
    let repository = binaries::repository();
    let chart = repository.join("charts/quorate-operator").display().to_string();
    let place = ["--namespace", "quorate-system", "--create-namespace", "--wait"];
    kubernetes.helm(&[&["install", "quorate-operator", chart.as_str()][..], &place].concat()).await?.success()?;
    let sample = repository.join("docs/operator/sample.yaml").display().to_string();
    kubernetes.kubectl(&["apply", "--filename", &sample]).await?.success()?;
    let serves = "--for=jsonpath={.status.ready}=3/3";
    kubernetes.kubectl(&["wait", serves, "etcdcluster/sample", "--timeout=5m"]).await?.success().map(drop)
}

/// Writes a script that runs its arguments in the control plane's network, where pods and Services are reached.
fn write_script(kubernetes: &Kubernetes, path: &Path) -> Result<(), Error> {
    let command = kubernetes.command("env".as_ref());
    let mut script = String::from("#!/bin/sh\nexec");
    for argument in std::iter::once(command.get_program()).chain(command.get_args()) {
        let _ = write!(script, " '{}'", argument.to_string_lossy()); // A text takes everything.
    }
    for (name, value) in command.get_envs().filter(|(name, _)| *name == "KUBECONFIG") {
        let _ = write!(script, " '{}={}'", name.to_string_lossy(), value.unwrap_or_default().to_string_lossy());
    }
    let folder = |path: PathBuf| path.parent().unwrap_or(&path).display().to_string();
    let (tools, own) = (folder(binaries::tool("kubectl")?), folder(binaries::plugin()?));
    // Entering the network leaves the folder.
    let _ = writeln!(script, " \"PATH={tools}:{own}:$PATH\" sh -c 'cd \"$0\" && exec \"$@\"' \"$PWD\" \"$@\"");
    std::fs::write(path, script)
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)))
        .map_err(Error::io(format!("writing {}", path.display())))
}
