"""Embeds a small gallery, makes an index of it, and searches it. docs/clients.md says how to generate what is imported.

python search.py 127.0.0.1:50051 127.0.0.1:50053
"""

import sys
import time

import grpc
from onlinecnclip.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from onlinecnclip.ranker.v1 import ranker_pb2, ranker_pb2_grpc

GALLERY = ["红色连衣裙", "黑色运动鞋", "儿童雨伞"]
TIMEOUT_S = 30


def main(encoder_address: str, ranker_address: str) -> None:
    with grpc.insecure_channel(encoder_address) as to_encoder, grpc.insecure_channel(ranker_address) as to_ranker:
        encoder = encoder_pb2_grpc.EncoderServiceStub(to_encoder)
        ranker = ranker_pb2_grpc.RankerServiceStub(to_ranker)
        encoded = encoder.EncodeText(encoder_pb2.EncodeTextRequest(texts=GALLERY), timeout=TIMEOUT_S)
        index = f"example-{time.time_ns()}"
        fingerprint = encoded.model_fingerprint
        ranker.CreateIndex(
            ranker_pb2.CreateIndexRequest(name=index, model_fingerprint=fingerprint), timeout=TIMEOUT_S
        )
        try:
            items = [
                ranker_pb2.Item(id=i, vector=embedding.vector)
                for i, embedding in enumerate(encoded.embeddings)
                if embedding.status.code == 0
            ]
            batch = ranker_pb2.UpsertItemsRequest(index=index, items=items, model_fingerprint=fingerprint)
            ranker.UpsertItems(iter([batch]), timeout=TIMEOUT_S)
            queries = [ranker_pb2.Query(text=text) for text in GALLERY]
            found = ranker.Search(
                ranker_pb2.SearchRequest(index=index, queries=queries, top_k=1), timeout=TIMEOUT_S
            )
            for text, result in zip(GALLERY, found.results):
                print(f"{text}: {GALLERY[result.ids[0]]} ({result.scores[0]:.3f})")
        finally:
            ranker.DropIndex(ranker_pb2.DropIndexRequest(name=index), timeout=TIMEOUT_S)


if __name__ == "__main__":
    main(*sys.argv[1:3])
