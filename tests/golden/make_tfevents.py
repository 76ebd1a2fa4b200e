# Records as TensorBoard (2.21) itself writes them, for tests/unit/test_tfevents.c. Prints one hexadecimal line per record.
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2, tensor_shape_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
import struct
def frame(b):
    l=struct.pack('<Q',len(b)); return l+struct.pack('<I',masked_crc32c(l))+b+struct.pack('<I',masked_crc32c(b))
E=event_pb2.Event
evs=[E(wall_time=1700000000.5,file_version='brain.Event:2'),
 E(wall_time=1700000000.5,step=40,session_log=event_pb2.SessionLog(status=1)),
 E(wall_time=1700000001.25,step=300,summary=summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag='train/loss',simple_value=0.25)])),
]
t=tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING,string_val=[b'To be\n'],tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)]))
v=summary_pb2.Summary.Value(tag='sample',tensor=t,metadata=summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name='text')))
evs.append(E(wall_time=1700000002.0,step=300,summary=summary_pb2.Summary(value=[v])))
for e in evs:
    print(frame(e.SerializeToString()).hex())
