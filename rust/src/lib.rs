//! The native core: `infercache._core`.

mod buffer;
mod canonical;
mod canonical_place;
mod digest;
mod generation;
mod policies;
mod table;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("NATIVE_POLICIES", policies::NAMES)?;
    module.add_class::<table::Table>()?;
    digest::register(module)?;
    canonical::register(module)?;
    generation::register(module)?;
    Ok(())
}
