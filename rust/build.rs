//! Hands the interpreter's properties (such as a missing interpreter lock) to the code as cfgs.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
