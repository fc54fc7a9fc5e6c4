use super::*;

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    let head = if length < 128 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [head, content.to_vec()].concat()
}

/// A response with this status, whose `TSTInfo` has these fields after the serial number.
fn response(status: u8, fields: &[u8]) -> Vec<u8> {
    let (oid, time) = (tlv(6, &[0x2a]), tlv(0x18, b"20260101000000Z"));
    let imprint = tlv(0x30, &tlv(4, b"digest"));
    let number = tlv(2, &[1]);
    let info = tlv(0x30, &[&number, &oid, &imprint, &number, &time[..], fields].concat());
    let content = tlv(0x30, &[&oid[..], &tlv(0xa0, &tlv(4, &info))].concat());
    let signed = tlv(0x30, &[&number[..], &tlv(0x31, &[]), &content].concat());
    let content_info = tlv(0x30, &[&oid[..], &tlv(0xa0, &signed)].concat());
    tlv(0x30, &[tlv(0x30, &tlv(2, &[status])), content_info].concat())
}

#[test]
fn the_nonce_is_found_behind_accuracy_and_ordering() {
    let nonce = new_nonce();
    let (accuracy, ordering) = (tlv(0x30, &tlv(2, &[1])), tlv(1, &[0xff]));
    let fields = [accuracy, ordering, tlv(2, &nonce)].concat();
    let read = |bytes: &[u8]| read(bytes).map(|it| (it.status, it.nonce));
    assert_eq!(read(&response(0, &fields)), Ok((0, Some(nonce.to_vec()))));
    assert_eq!(read(&response(0, &[])), Ok((0, None)));
    let refused = tlv(0x30, &tlv(0x30, &tlv(2, &[2])));
    assert_eq!(read(&refused), Ok((2, None)));
    let whole = response(0, &fields);
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "{length} bytes");
    }
    assert!(read(b"<html>").is_err());
}

#[test]
fn a_request_is_der_with_a_nonce_of_full_length() {
    let nonce = [0x40, 2, 3, 4, 5, 6, 7, 8];
    let request = request(&[7; 32], &nonce);
    let fields = Any::from_der(&request).unwrap();
    let mut fields = SliceReader::new(fields.value()).unwrap();
    let mut tags = Vec::new();
    while !fields.is_finished() {
        tags.push(Any::decode(&mut fields).unwrap().tag());
    }
    assert_eq!(tags, [Tag::Integer, Tag::Sequence, Tag::Integer, Tag::Boolean]);
    for _ in 0..1000 {
        assert!((0x40..0x80).contains(&new_nonce()[0]));
    }
}
