//! A function's results, found by the content of its arguments without running Python.

use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};

use crate::canonical::Encoder;
use crate::digest::{Digest, Scheme};
use crate::generation::Generation;
use crate::table::{Recall, Table};

static METHOD: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// The parameters of a function and how a call's arguments become their values.
struct Parameters {
    names: Vec<Py<PyString>>,
    positional_only: usize,
    count: Option<usize>,
    defaults: Vec<Py<PyAny>>,
    counts: Vec<bool>,
    bind: Option<Py<PyAny>>,
}

impl Parameters {
    /// The values of all parameters in order; None if the call cannot be bound here.
    fn bind<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        let (Some(count), given) = (self.count, args.len()) else { return Ok(None) };
        if given > count {
            return Ok(None);
        }
        let mut named = kwargs.map_or(0, |kwargs| kwargs.len());
        let mut values = Vec::with_capacity(count);
        values.extend(args.iter());
        for place in given..count {
            let by_name = match (kwargs, self.names.get(place)) {
                (Some(kwargs), Some(name)) if named > 0 && place >= self.positional_only => {
                    kwargs.get_item(name)?
                }
                _ => None,
            };
            named -= usize::from(by_name.is_some());
            let value = by_name.or_else(|| Some(self.default(py, place, count)?.clone()));
            match value {
                Some(value) => values.push(value),
                None => return Ok(None),
            }
        }
        Ok((named == 0).then_some(values))
    }

    fn default<'a, 'py>(
        &'a self,
        py: Python<'py>,
        place: usize,
        count: usize,
    ) -> Option<&'a Bound<'py, PyAny>> {
        let first = count.checked_sub(self.defaults.len())?;
        self.defaults.get(place.checked_sub(first)?).map(|default| default.bind(py))
    }

    fn is_counted(&self, place: usize) -> bool {
        self.counts.get(place).copied().unwrap_or(true)
    }

    fn name(&self, py: Python<'_>, place: usize) -> String {
        match self.names.get(place) {
            Some(name) => format!("argument '{}'", name.bind(py).to_string_lossy()),
            None => format!("argument {}", place + 1),
        }
    }
}

/// Answers calls from a table; every other call goes to a slow path in Python.
#[pyclass(module = "infercache._core", dict, weakref, frozen, subclass)]
pub struct Memo {
    table: Py<Table>,
    scheme: Scheme,
    slow: Py<PyAny>,
    parameters: Parameters,
    gate: Option<Py<Generation>>,
    beta: f64,
    encode_other: Option<Py<PyAny>>,
}

impl Memo {
    fn digest_values<'py>(
        &self,
        py: Python<'py>,
        values: &[Bound<'py, PyAny>],
    ) -> PyResult<Digest> {
        let encode_other = self.encode_other.as_ref().map(|callable| callable.bind(py));
        let mut encoder = Encoder::new(py, encode_other, Some(&self.scheme));
        let parameters = &self.parameters;
        let ignored = parameters.counts.iter().take(values.len()).filter(|counts| !**counts);
        encoder.open_tuple(values.len() - ignored.count());
        for (place, value) in values.iter().enumerate() {
            if parameters.is_counted(place) {
                encoder
                    .node(value)
                    .map_err(|fault| fault.located(py, &parameters.name(py, place)))?;
            }
        }
        Ok(encoder.digest(&self.scheme))
    }

    /// The digest of a call; None if it cannot be bound natively and there is no other way.
    fn digest_call<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Digest>> {
        if let Some(values) = self.parameters.bind(py, args, kwargs)? {
            return self.digest_values(py, &values).map(Some);
        }
        let Some(bind) = &self.parameters.bind else { return Ok(None) };
        let values: Vec<Bound<'py, PyAny>> = bind.call1(py, (args, kwargs))?.extract(py)?;
        self.digest_values(py, &values).map(Some)
    }

    fn go_slow<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
        digest: Option<Digest>,
        refresh_due: bool,
    ) -> PyResult<Py<PyAny>> {
        let digest = digest.map(|digest| PyBytes::new(py, &digest));
        let kwargs = kwargs.cloned().unwrap_or_else(|| PyDict::new(py));
        self.slow.call1(py, (args, kwargs, digest, refresh_due))
    }
}

#[pymethods]
impl Memo {
    #[new]
    #[pyo3(signature = (
        table, seed, algorithm, slow, defaults=Vec::new(), nparams=None, gate=None, *, beta=0.0,
        encode_other=None, bind=None, names=Vec::new(), positional_only=0, ignored=Vec::new()
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        table: Py<Table>,
        seed: &[u8],
        algorithm: &str,
        slow: Py<PyAny>,
        defaults: Vec<Py<PyAny>>,
        nparams: Option<usize>,
        gate: Option<Py<Generation>>,
        beta: f64,
        encode_other: Option<Py<PyAny>>,
        bind: Option<Py<PyAny>>,
        names: Vec<Py<PyString>>,
        positional_only: usize,
        ignored: Vec<usize>,
    ) -> PyResult<Self> {
        let scheme = Scheme::new(algorithm, seed)?;
        let places = ignored.iter().max().map_or(0, |last| last + 1);
        let counts = (0..places).map(|place| !ignored.contains(&place)).collect();
        let parameters =
            Parameters { names, positional_only, count: nparams, defaults, counts, bind };
        Ok(Self { table, scheme, slow, parameters, gate, beta, encode_other })
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        if self.gate.as_ref().is_some_and(|gate| !gate.get().unchanged()) {
            return self.go_slow(py, args, kwargs, None, false);
        }
        let digest = match self.digest_call(py, args, kwargs) {
            Ok(Some(digest)) => digest,
            Ok(None) => return self.go_slow(py, args, kwargs, None, false),
            // The slow path meets the same trouble, and knows what to do about it.
            Err(error) if error.is_instance_of::<PyException>(py) => {
                return self.go_slow(py, args, kwargs, None, false)
            }
            Err(interrupt) => return Err(interrupt),
        };
        match self.table.get().recall(py, digest, self.beta)? {
            Recall::Value(value) => Ok(value),
            Recall::RefreshDue => self.go_slow(py, args, kwargs, Some(digest), true),
            Recall::Nothing => self.go_slow(py, args, kwargs, Some(digest), false),
        }
    }

    /// What a call is looked up by.
    #[pyo3(signature = (args, kwargs=None))]
    fn digest<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        match self.digest_call(py, args, kwargs)? {
            Some(digest) => Ok(PyBytes::new(py, &digest)),
            None => Err(PyTypeError::new_err("the call does not fit the function's parameters")),
        }
    }

    /// On a class, a method, as a function would be.
    fn __get__<'py>(
        slf: Bound<'py, Self>,
        instance: &Bound<'py, PyAny>,
        owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = owner;
        if instance.is_none() {
            return Ok(slf.into_any());
        }
        let method = METHOD.import(slf.py(), "types", "MethodType")?;
        method.call1((slf, instance))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.table)?;
        visit.call(&self.slow)?;
        visit.call(&self.gate)?;
        visit.call(&self.encode_other)?;
        visit.call(&self.parameters.bind)?;
        self.parameters.defaults.iter().try_for_each(|default| visit.call(default))
    }
}
