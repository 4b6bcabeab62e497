//! Messages whose type is known while running, as gRPC's bytes.

use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tonic::Status;
use tonic::codec::{DecodeBuf, EncodeBuf};

/// The client's side of a method with this output.
pub struct Codec(pub MessageDescriptor);

pub struct Encoder;

pub struct Decoder(MessageDescriptor);

impl tonic::codec::Codec for Codec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Encoder;
    type Decoder = Decoder;

    fn encoder(&mut self) -> Encoder {
        Encoder
    }

    fn decoder(&mut self) -> Decoder {
        Decoder(self.0.clone())
    }
}

impl tonic::codec::Encoder for Encoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(to).map_err(|error| Status::internal(error.to_string()))
    }
}

impl tonic::codec::Decoder for Decoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let message = DynamicMessage::decode(self.0.clone(), from);
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
