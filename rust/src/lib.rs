//! The native core: `infercache._core`.

mod belady;
mod blob;
mod buffer;
mod canonical;
mod canonical_place;
mod digest;
mod distances;
mod generation;
mod memo;
mod plain;
mod policies;
mod replay;
mod table;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("NATIVE_POLICIES", policies::NAMES)?;
    module.add_class::<table::Table>()?;
    table::add_methods(&module.py().get_type::<table::Table>())?;
    digest::register(module)?;
    canonical::register(module)?;
    generation::register(module)?;
    blob::register(module)?;
    module.add_function(wrap_pyfunction!(plain::is_plain, module)?)?;
    module.add_class::<memo::Memo>()?;
    module.add_function(wrap_pyfunction!(replay::replay, module)?)?;
    module.add_function(wrap_pyfunction!(belady::belady, module)?)?;
    module.add_function(wrap_pyfunction!(distances::stack_distances, module)?)?;
    module.add_function(wrap_pyfunction!(distances::sampled_distances, module)?)?;
    module.add_function(wrap_pyfunction!(distances::previous_uses, module)?)?;
    Ok(())
}
