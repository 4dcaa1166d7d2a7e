//! Finds libtorch at run time: binaries and tests of this package get its folder as rpath, and
//! dependents read the folder from `DEP_GLASSHOUSE_LEARN_LIBTORCH_LIB` in their own build script
//! (link arguments do not travel from a library to the binaries above it).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Set by the build script of torch-sys, which resolved LIBTORCH or its alternatives.
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
        println!("cargo:libtorch_lib={folder}");
    }
}
