//! The native core: `infercache._core`.

mod buffer;
mod policies;
mod table;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("NATIVE_POLICIES", policies::NAMES)?;
    module.add_class::<table::Table>()?;
    Ok(())
}
