//! What is in a record: the parts that matter here of TensorFlow's `Event`, `Summary` and `TensorProto`. Other fields
//! are passed over.
//! <https://github.com/tensorflow/tensorboard/tree/master/tensorboard/compat/proto>

use prost::Message;

/// `event.proto`.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    pub session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SessionLog {
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// `SessionLog.SessionStatus.START`.
const START: i32 = 1;

/// `summary.proto`.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
    #[prost(message, optional, tag = "4")]
    pub image: Option<Picture>,
    #[prost(message, optional, tag = "8")]
    pub tensor: Option<Tensor>,
    #[prost(message, optional, tag = "9")]
    pub metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Picture {
    #[prost(bytes = "vec", tag = "4")]
    pub encoded: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    #[prost(message, optional, tag = "1")]
    pub plugin_data: Option<PluginData>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PluginData {
    #[prost(string, tag = "1")]
    pub plugin_name: String,
}

/// `tensor.proto`, with the types of `types.proto`.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int32, tag = "1")]
    pub dtype: i32,
    #[prost(bytes = "vec", tag = "4")]
    pub content: Vec<u8>,
    #[prost(float, repeated, tag = "5")]
    pub float: Vec<f32>,
    #[prost(double, repeated, tag = "6")]
    pub double: Vec<f64>,
    #[prost(int32, repeated, tag = "7")]
    pub int: Vec<i32>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub string: Vec<Vec<u8>>,
    #[prost(int64, repeated, tag = "10")]
    pub int64: Vec<i64>,
    #[prost(bool, repeated, tag = "11")]
    pub bool: Vec<bool>,
    #[prost(int32, repeated, tag = "13")]
    pub half: Vec<i32>,
    #[prost(uint32, repeated, tag = "16")]
    pub uint32: Vec<u32>,
    #[prost(uint64, repeated, tag = "17")]
    pub uint64: Vec<u64>,
}

/// A value that is shown.
pub enum Datum {
    Scalar(f64),
    Image(Vec<u8>),
}

/// Returns the event of a record.
pub fn event(data: &[u8]) -> Option<Event> {
    Event::decode(data).ok()
}

impl Event {
    /// Returns whether a training starts, or starts again.
    pub fn is_start(&self) -> bool {
        self.session_log.as_ref().is_some_and(|log| log.status == START)
    }

    pub fn values(self) -> impl Iterator<Item = Value> {
        self.summary.into_iter().flat_map(|summary| summary.value)
    }
}

impl Value {
    /// Returns the plugin that the tag is for, if this value says so.
    pub fn plugin(&self) -> Option<&str> {
        Some(self.metadata.as_ref()?.plugin_data.as_ref()?.plugin_name.as_str())
    }

    /// Returns what is shown of it. In `TensorFlow` 2 scalars and images are tensors, and the plugin tells which is
    /// which.
    pub fn datum(&self, plugin: Option<&str>) -> Option<Datum> {
        if let Some(value) = self.simple_value {
            return Some(Datum::Scalar(f64::from(value)));
        }
        if let Some(image) = &self.image {
            return Some(Datum::Image(image.encoded.clone())).filter(|_| !image.encoded.is_empty());
        }
        let tensor = self.tensor.as_ref()?;
        match plugin {
            Some("scalars") => tensor.scalar().map(Datum::Scalar),
            // Width, height, and one or more images of the same step, of which the first is kept.
            Some("images") => tensor.string.get(2).cloned().map(Datum::Image),
            _ => None,
        }
    }
}

impl Tensor {
    /// Returns the first element, whatever its type; of a scalar that is all. Small numbers may be in `content` or in
    /// the list for their type.
    fn scalar(&self) -> Option<f64> {
        let content = &self.content;
        fn raw<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
            bytes.first_chunk::<N>().copied()
        }
        let int = || self.int.first().map(|value| f64::from(*value));
        let half = || raw(content).map(u16::from_le_bytes).or_else(|| self.half.first().map(|bits| *bits as u16));
        match self.dtype {
            1 => raw(content).map(f32::from_le_bytes).or_else(|| self.float.first().copied()).map(f64::from),
            2 => raw(content).map(f64::from_le_bytes).or_else(|| self.double.first().copied()),
            3 => raw(content).map(|bytes| f64::from(i32::from_le_bytes(bytes))).or_else(int),
            4 => raw::<1>(content).map(|[byte]| f64::from(byte)).or_else(int),
            5 => raw(content).map(|bytes| f64::from(i16::from_le_bytes(bytes))).or_else(int),
            6 => raw::<1>(content).map(|[byte]| f64::from(byte as i8)).or_else(int),
            9 => raw(content).map(i64::from_le_bytes).or_else(|| self.int64.first().copied()).map(|value| value as f64),
            10 => raw::<1>(content).map(|[byte]| byte != 0).or_else(|| self.bool.first().copied()).map(f64::from),
            14 => half().map(|bits| f64::from(f32::from_bits(u32::from(bits) << 16))),
            17 => raw(content).map(|bytes| f64::from(u16::from_le_bytes(bytes))).or_else(int),
            19 => half().map(from_half),
            22 => raw(content).map(u32::from_le_bytes).or_else(|| self.uint32.first().copied()).map(f64::from),
            23 => {
                raw(content).map(u64::from_le_bytes).or_else(|| self.uint64.first().copied()).map(|value| value as f64)
            }
            _ => None,
        }
    }
}

/// Returns a number of 16 bits: <https://en.wikipedia.org/wiki/Half-precision_floating-point_format>.
fn from_half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_953_125),
            (1, 2f64.powi(-24)),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(from_half(bits), value);
        }
        assert!(from_half(0x7e00).is_nan());
    }
}
