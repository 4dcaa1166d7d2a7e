//! Lets the binary and the tests find libtorch at run time: link arguments do not travel from
//! `learn` to here, its folder does (docs/decisions/0003-libtorch-from-wheels.md).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(folder) = std::env::var("DEP_GLASSHOUSE_LEARN_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
