//! The canonical encoding: bytes that stand for a value, the same in every process.
//!
//! Every node is a tag followed by a payload of known length or by a count of further nodes, so
//! that no encoding is a prefix of another and no two values that differ share one. Lengths and
//! counts are LEB128; dicts and sets are ordered by the encoding of their keys and members.
//! Types other than the plain ones are turned into a name and plain parts by a Python callable.

use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyComplex, PyDict, PyFloat, PyFrozenSet, PyInt, PyList,
    PyMemoryView, PySet, PyString, PyTuple,
};

use crate::buffer::Bytes;
use crate::canonical_place::{unkeyable, Fault, Outcome, Step};
use crate::digest::{Digest, Scheme, Stream, DETACH_BYTES};

/// Deeper nesting is refused: it is a structure that contains itself, or as good as.
const MAX_DEPTH: usize = 200;
/// How many nodes are encoded before other threads and Ctrl-C get their turn; a power of two.
const NODES_PER_PAUSE: u32 = 1 << 16;
/// Encodings beyond this are digested in pieces rather than held.
const HELD_BYTES: usize = 1 << 20;

/// Writes the encoding of values, or digests it on the way if it grows large.
pub struct Encoder<'a, 'py> {
    py: Python<'py>,
    encode_other: Option<&'a Bound<'py, PyAny>>,
    scheme: Option<&'a Scheme>,
    stream: Option<Stream>,
    out: Vec<u8>,
    asides: usize,
    ancestors: Vec<*mut pyo3::ffi::PyObject>,
    nodes: u32,
}

impl<'a, 'py> Encoder<'a, 'py> {
    /// Large payloads go straight into a digest if a scheme is given; else all is collected.
    pub fn new(
        py: Python<'py>,
        encode_other: Option<&'a Bound<'py, PyAny>>,
        scheme: Option<&'a Scheme>,
    ) -> Self {
        let out = Vec::with_capacity(128);
        let ancestors = Vec::new();
        Self { py, encode_other, scheme, stream: None, out, asides: 0, ancestors, nodes: 0 }
    }

    /// The digest of everything that was encoded.
    pub fn digest(mut self, scheme: &Scheme) -> Digest {
        match self.stream.take() {
            None => scheme.digest(&self.out),
            Some(mut stream) => {
                stream.write(self.py, &self.out);
                stream.finish()
            }
        }
    }

    /// Opens a tuple: exactly `count` nodes must follow.
    pub fn open_tuple(&mut self, count: usize) {
        self.open(b't', count);
    }

    /// Encodes one value.
    pub fn node(&mut self, value: &Bound<'py, PyAny>) -> Outcome {
        if let Ok(text) = value.cast_exact::<PyString>() {
            return self.text(text);
        }
        if let Ok(number) = value.cast_exact::<PyInt>() {
            return self.integer(number);
        }
        if let Ok(number) = value.cast_exact::<PyFloat>() {
            self.out.push(b'f');
            self.float(number.value());
            return Ok(());
        }
        if let Ok(flag) = value.cast_exact::<PyBool>() {
            self.out.push(if flag.is_true() { b'T' } else { b'F' });
            return Ok(());
        }
        if value.is_none() {
            self.out.push(b'N');
            return Ok(());
        }
        if let Ok(bytes) = value.cast_exact::<PyBytes>() {
            self.payload(b'b', bytes.as_bytes());
            return Ok(());
        }
        self.inner(value)
    }

    /// Encodes what has parts, one level deeper.
    fn inner(&mut self, value: &Bound<'py, PyAny>) -> Outcome {
        self.nodes += 1;
        if self.nodes & (NODES_PER_PAUSE - 1) == 0 {
            self.pause()?;
        }
        if self.ancestors.len() == MAX_DEPTH {
            let itself = self.ancestors.contains(&value.as_ptr());
            return Err(unkeyable(self.py, &too_deep(itself)).into());
        }
        self.ancestors.push(value.as_ptr());
        let outcome = self.parts(value);
        self.ancestors.pop();
        outcome
    }

    /// A structure whose parts occur in it many times over may take for ever.
    #[cold]
    fn pause(&mut self) -> PyResult<()> {
        self.py.check_signals()?;
        self.py.detach(|| {});
        self.raw(&[]);
        Ok(())
    }

    fn parts(&mut self, value: &Bound<'py, PyAny>) -> Outcome {
        if let Ok(items) = value.cast_exact::<PyTuple>() {
            self.open(b't', items.len());
            return self.items(items.iter());
        }
        if let Ok(items) = value.cast_exact::<PyList>() {
            // A copy: encoding an element may run Python code that changes the list.
            let items: Vec<_> = items.iter().collect();
            self.open(b'l', items.len());
            return self.items(items.into_iter());
        }
        if let Ok(items) = value.cast_exact::<PyDict>() {
            return self.mapping(items.iter().collect());
        }
        if let Ok(members) = value.cast_exact::<PySet>() {
            return self.members(b'S', members.iter().collect());
        }
        if let Ok(members) = value.cast_exact::<PyFrozenSet>() {
            return self.members(b'Z', members.iter().collect());
        }
        if let Ok(number) = value.cast_exact::<PyComplex>() {
            return self.complex(number);
        }
        if value.cast_exact::<PyByteArray>().is_ok() {
            self.payload(b'B', Bytes::new(value)?.as_slice());
            return Ok(());
        }
        if value.cast_exact::<PyMemoryView>().is_ok() {
            return self.memory(value);
        }
        self.other(value)
    }

    fn items(&mut self, items: impl Iterator<Item = Bound<'py, PyAny>>) -> Outcome {
        for (index, item) in items.enumerate() {
            self.node(&item).map_err(|fault| fault.within(Step::Index(index)))?;
        }
        Ok(())
    }

    fn text(&mut self, text: &Bound<'py, PyString>) -> Outcome {
        match text.to_str() {
            Ok(utf8) => self.payload(b's', utf8.as_bytes()),
            Err(_) => {
                // Lone surrogates: their three-byte forms occur in no valid UTF-8.
                let bytes = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
                self.payload(b's', bytes.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes());
            }
        }
        Ok(())
    }

    fn integer(&mut self, number: &Bound<'py, PyInt>) -> Outcome {
        let mut overflow = 0;
        // SAFETY: `number` is an int, for which this neither fails nor runs other code.
        let small =
            unsafe { pyo3::ffi::PyLong_AsLongLongAndOverflow(number.as_ptr(), &mut overflow) };
        if overflow == 0 {
            self.out.push(b'i');
            self.out.extend_from_slice(&small.to_le_bytes());
            return Ok(());
        }
        let bits: usize = number.call_method0("bit_length")?.extract()?;
        let options = PyDict::new(self.py);
        options.set_item("signed", true)?;
        let bytes = number.call_method("to_bytes", (bits / 8 + 1, "little"), Some(&options))?;
        self.payload(b'I', bytes.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes());
        Ok(())
    }

    fn float(&mut self, number: f64) {
        let number = if number.is_nan() { f64::NAN } else { number };
        self.out.extend_from_slice(&number.to_bits().to_le_bytes());
    }

    fn complex(&mut self, number: &Bound<'py, PyComplex>) -> Outcome {
        self.out.push(b'c');
        self.float(number.real());
        self.float(number.imag());
        Ok(())
    }

    /// Dicts are ordered by their keys' encodings, so that only the keys are held aside.
    fn mapping(&mut self, items: Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>) -> Outcome {
        self.open(b'd', items.len());
        let mut pairs = Vec::with_capacity(items.len());
        for (key, value) in items {
            let code = self.aside(&key).map_err(|fault| fault.within(Step::key(&key)))?;
            pairs.push((code, key, value));
        }
        pairs.sort_by(|left, right| left.0.cmp(&right.0));
        if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return self.mapping_with_twins(pairs);
        }
        for (code, key, value) in pairs {
            self.raw(&code);
            self.node(&value).map_err(|fault| fault.within(Step::item(&key)))?;
        }
        Ok(())
    }

    /// Keys that encode alike though the dict tells them apart, such as two NaNs: the values
    /// decide their order.
    fn mapping_with_twins(
        &mut self,
        pairs: Vec<(Vec<u8>, Bound<'py, PyAny>, Bound<'py, PyAny>)>,
    ) -> Outcome {
        let mut codes = Vec::with_capacity(pairs.len());
        for (mut code, key, value) in pairs {
            code.extend(self.aside(&value).map_err(|fault| fault.within(Step::item(&key)))?);
            codes.push(code);
        }
        codes.sort();
        codes.iter().for_each(|code| self.raw(code));
        Ok(())
    }

    fn members(&mut self, tag: u8, members: Vec<Bound<'py, PyAny>>) -> Outcome {
        self.open(tag, members.len());
        let mut codes = Vec::with_capacity(members.len());
        for member in members {
            codes.push(self.aside(&member).map_err(|fault| fault.within(Step::Member))?);
        }
        codes.sort();
        codes.iter().for_each(|code| self.raw(code));
        Ok(())
    }

    /// A view: its format and shape, then its bytes in C order.
    fn memory(&mut self, view: &Bound<'py, PyAny>) -> Outcome {
        let shape = view.getattr("shape")?;
        let contiguous: bool = view.getattr("c_contiguous")?.extract()?;
        self.out.push(b'm');
        self.node(&view.getattr("format")?)?;
        self.node(&shape)?;
        if contiguous {
            self.payload(b'b', Bytes::new(view)?.as_slice());
            return Ok(());
        }
        self.node(&view.call_method0("tobytes")?)
    }

    /// Any other type: its name and parts, as the callable gives them.
    fn other(&mut self, value: &Bound<'py, PyAny>) -> Outcome {
        let Some(encode_other) = self.encode_other else {
            let name = value.get_type().name()?;
            return Err(unkeyable(self.py, &format!("type {name:?} is not plain")).into());
        };
        let encoded = encode_other.call1((value,))?;
        let (name, parts, places): (Bound<PyString>, Bound<PyTuple>, Option<Bound<PyTuple>>) =
            encoded.extract()?;
        self.out.push(b'x');
        self.text(&name)?;
        self.count(parts.len());
        for (index, part) in parts.iter().enumerate() {
            self.node(&part).map_err(|fault| match &places {
                Some(places) => fault.within(Step::named(places, index)),
                None => fault,
            })?;
        }
        Ok(())
    }

    /// The encoding of one value by itself.
    fn aside(&mut self, value: &Bound<'py, PyAny>) -> Result<Vec<u8>, Box<Fault>> {
        let before = std::mem::take(&mut self.out);
        self.asides += 1;
        let outcome = self.node(value);
        self.asides -= 1;
        let code = std::mem::replace(&mut self.out, before);
        outcome.map(|()| code)
    }

    fn open(&mut self, tag: u8, count: usize) {
        self.out.push(tag);
        self.count(count);
    }

    fn payload(&mut self, tag: u8, bytes: &[u8]) {
        self.open(tag, bytes.len());
        self.raw(bytes);
    }

    fn count(&mut self, mut count: usize) {
        while count >= 0x80 {
            self.out.push(count as u8 | 0x80);
            count >>= 7;
        }
        self.out.push(count as u8);
    }

    fn raw(&mut self, bytes: &[u8]) {
        let large = bytes.len() > DETACH_BYTES || self.out.len() > HELD_BYTES;
        let (true, 0, Some(scheme)) = (large, self.asides, self.scheme) else {
            self.out.extend_from_slice(bytes);
            return;
        };
        let stream = self.stream.get_or_insert_with(|| scheme.stream());
        stream.write(self.py, &self.out);
        stream.write(self.py, bytes);
        self.out.clear();
    }
}

fn too_deep(itself: bool) -> String {
    match itself {
        true => "the structure contains itself, so that it has no content key".to_owned(),
        false => format!("nested deeper than {MAX_DEPTH} levels; pass a flatter structure"),
    }
}

/// The canonical encoding of a value; `encode_other` turns other than plain types into parts.
#[pyfunction]
#[pyo3(signature = (value, encode_other=None, name="value"))]
fn encode<'py>(
    value: &Bound<'py, PyAny>,
    encode_other: Option<&Bound<'py, PyAny>>,
    name: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut encoder = Encoder::new(value.py(), encode_other, None);
    encoder.node(value).map_err(|fault| fault.located(value.py(), name))?;
    Ok(PyBytes::new(value.py(), &encoder.out))
}

/// Digests of values in one key space. Immutable: thread-safe.
#[pyclass(module = "infercache._core", frozen)]
pub struct Digester {
    pub scheme: Scheme,
    pub encode_other: Option<Py<PyAny>>,
}

#[pymethods]
impl Digester {
    #[new]
    #[pyo3(signature = (seed, algorithm="blake3", encode_other=None))]
    fn new(seed: &[u8], algorithm: &str, encode_other: Option<Py<PyAny>>) -> PyResult<Self> {
        Ok(Self { scheme: Scheme::new(algorithm, seed)?, encode_other })
    }

    /// 16 bytes that stand for the value; `name` is what a message calls it.
    #[pyo3(signature = (value, name="value"))]
    fn digest<'py>(&self, value: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyBytes>> {
        let py = value.py();
        let encode_other = self.encode_other.as_ref().map(|callable| callable.bind(py));
        let mut encoder = Encoder::new(py, encode_other, Some(&self.scheme));
        encoder.node(value).map_err(|fault| fault.located(py, name))?;
        Ok(PyBytes::new(py, &encoder.digest(&self.scheme)))
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Digester>()?;
    module.add_function(wrap_pyfunction!(encode, module)?)
}
