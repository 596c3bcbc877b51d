//! Lists `catalog/*.toml`, so that adding a provider's file needs no line anywhere else.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&root).join("../../catalog");
    let mut code = String::new();
    list(&mut code, &folder, "EMBEDDED", "File name and text of every embedded catalogue file.");
    let described = "Those of models that articles describe and no public price sheet confirms.";
    list(&mut code, &folder.join("described"), "DESCRIBED", described);
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("embedded.rs"), code).expect("the build folder can be written");
}

/// Writes a table of the files of `folder`.
fn list(code: &mut String, folder: &Path, table: &str, what: &str) {
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the catalogue folder is part of the repository")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    let grows = "text grows";
    writeln!(code, "/// {what}\npub(super) const {table}: &[(&str, &str)] = &[").expect(grows);
    for name in names {
        let path = folder.join(&name);
        println!("cargo:rerun-if-changed={}", path.display());
        writeln!(code, "    ({name:?}, include_str!({:?})),", path.display().to_string()).expect(grows);
    }
    code.push_str("];\n");
}
