//! Compiles the definitions three times, because a type belongs to one pass's options, and keeps some as they are; see
//! `src/lib.rs` for what each is for.

use std::{env, error::Error, fs, path::PathBuf};

const ROOT: &str = "proto";

/// Packages whose types both views of etcd's API share.
const SHARED: [&str; 2] = ["authpb", "membershippb"];

const PLAIN: [&str; 15] = [
    "authpb/auth.proto",
    "etcdserverpb/auth.proto",
    "etcdserverpb/cluster.proto",
    "etcdserverpb/header.proto",
    "etcdserverpb/metadata.proto",
    "etcdserverpb/raft_internal.proto",
    "etcdserverpb/watch.proto",
    "leasepb/lease.proto",
    "membershippb/membership.proto",
    "mvccpb/kv.proto",
    "raftpb/raft.proto",
    "snappb/snap.proto",
    "v3electionpb/v3election.proto",
    "v3lockpb/v3lock.proto",
    "walpb/record.proto",
];

const SERVED: [&str; 5] = [
    "etcdserverpb/cluster.proto",
    "etcdserverpb/raft_internal.proto",
    "etcdserverpb/watch.proto",
    "v3electionpb/v3election.proto",
    "v3lockpb/v3lock.proto",
];

/// The services whose methods have paths for HTTP.
const DESCRIBED: [&str; 8] = [
    "etcdserverpb/auth.proto",
    "etcdserverpb/cluster.proto",
    "etcdserverpb/kv.proto",
    "etcdserverpb/lease.proto",
    "etcdserverpb/maintenance.proto",
    "etcdserverpb/watch.proto",
    "v3electionpb/v3election.proto",
    "v3lockpb/v3lock.proto",
];

const BOTH_SIDES: [&str; 2] = ["grpc/health/v1/health.proto", "quorate/peer.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    let clients = tonic_prost_build::configure().build_server(false);
    generate(clients, "plain", &PLAIN)?;

    let mut servers =
        tonic_prost_build::configure().build_client(false).extern_path(".mvccpb.KeyValue", "crate::EncodedKeyValue");
    for package in SHARED {
        servers = servers.extern_path(format!(".{package}"), format!("crate::{package}"));
    }
    generate(servers, "served", &SERVED)?;

    generate(tonic_prost_build::configure(), "both_sides", &BOTH_SIDES)?;
    describe("described.bin", &DESCRIBED)
}

fn out_dir() -> Result<PathBuf, Box<dyn Error>> {
    Ok(PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?))
}

fn generate(pass: tonic_prost_build::Builder, folder: &str, files: &[&str]) -> Result<(), Box<dyn Error>> {
    let out = out_dir()?.join(folder);
    fs::create_dir_all(&out)?;
    let descriptors = protox::compile(files, [ROOT])?;
    // `Bytes` for every bytes field: a decoded request keeps slices of the receive buffer instead of copies.
    pass.bytes(".").out_dir(out).emit_rerun_if_changed(false).compile_fds(descriptors)?;
    Ok(())
}

/// Keeps the definitions themselves, with their options and comments, for who looks at them while running.
fn describe(name: &str, files: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(files)?;
    fs::write(out_dir()?.join(name), compiler.encode_file_descriptor_set())?;
    Ok(())
}
