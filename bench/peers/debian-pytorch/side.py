# The peer of `train-small-debian`: the training step of princeton-nlp/SimCSE (simcse/models.py at 49fa580, pooler `cls`, BERT as transformers 4.2 has it) in Debian's PyTorch, driven by
# bench/SimCse.Bench over the same lines as a side in .NET: `check PATH` and `round N` in, one JSON document a line out.
#
#   python3 side.py FOLDER LEARNING_RATE TOTAL_STEPS THREADS
#   python3 side.py --goldens MODEL GOLDENS.safetensors GOLDENS.json CASE     prints loss and gradient norms of a case of the reference's goldens
#
# FOLDER holds training.json (the model's directory and the batches, as token ids) and head.f32 (the head's weight; its bias is 0). Debian has no transformers package, so the encoder is written out here.
import json
import math
import os
import struct
import sys
import time

import numpy
import torch
from torch import nn

TYPES = {"F32": numpy.float32, "F16": numpy.float16, "I64": numpy.int64, "I32": numpy.int32}
MAX_GRADIENT_NORM, TEMPERATURE = 1.0, 0.05


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    return {
        name: torch.from_numpy(numpy.frombuffer(data[slice(*entry["data_offsets"])], dtype=TYPES[entry["dtype"]]).reshape(entry["shape"]).copy())
        for name, entry in header.items()
    }


class Embeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], hidden, padding_idx=config.get("pad_token_id", 0))
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], hidden)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=config["layer_norm_eps"])
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, ids, types):
        positions = torch.arange(ids.shape[1]).unsqueeze(0)
        embeddings = self.word_embeddings(ids) + self.token_type_embeddings(types) + self.position_embeddings(positions)
        return self.dropout(self.LayerNorm(embeddings))


class SelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))
        self.dropout = nn.Dropout(config["attention_probs_dropout_prob"])

    def split(self, x):
        return x.view(x.shape[0], x.shape[1], self.heads, -1).permute(0, 2, 1, 3)  # (R, A, L, D)

    def forward(self, x, mask):
        query, key, value = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(query.shape[-1]) + mask  # (R, A, L, L)
        context = torch.matmul(self.dropout(nn.functional.softmax(scores, dim=-1)), value)
        return context.permute(0, 2, 1, 3).contiguous().view(x.shape)  # (R, L, H)


class ResidualOutput(nn.Module):
    def __init__(self, config, width):
        super().__init__()
        self.dense = nn.Linear(width, config["hidden_size"])
        self.LayerNorm = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, x, residual):
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.attention = nn.ModuleDict({"self": SelfAttention(config), "output": ResidualOutput(config, config["hidden_size"])})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(config["hidden_size"], config["intermediate_size"])})
        self.output = ResidualOutput(config, config["intermediate_size"])

    def forward(self, x, mask):
        attended = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(nn.functional.gelu(self.intermediate["dense"](attended)), attended)


class Encoder(nn.Module):
    """Embeddings and layers, without BERT's own pooler; the parameters' names are those of a checkpoint."""

    def __init__(self, config):
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))})

    def forward(self, ids, mask, types):
        extended = (1.0 - mask[:, None, None, :].to(torch.float32)) * -10000.0
        x = self.embeddings(ids, types)
        for layer in self.encoder["layer"]:
            x = layer(x, extended)
        return x


class ContrastiveModel(nn.Module):
    def __init__(self, config, tensors, head_weight, head_bias):
        super().__init__()
        self.bert = Encoder(config)
        self.mlp = nn.ModuleDict({"dense": nn.Linear(config["hidden_size"], config["hidden_size"])})
        stripped = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
        self.bert.load_state_dict({name: stripped[name] for name in self.bert.state_dict()})
        with torch.no_grad():
            self.mlp["dense"].weight.copy_(head_weight)
            self.mlp["dense"].bias.copy_(head_bias)

    def forward(self, ids, mask, types):
        sentences, views, length = ids.shape
        hidden = self.bert(ids.view(-1, length), mask.view(-1, length), types.view(-1, length))
        pooled = hidden[:, 0].view(sentences, views, -1)
        pooled = torch.tanh(self.mlp["dense"](pooled))
        cosine = nn.CosineSimilarity(dim=-1)
        logits = cosine(pooled[:, 0].unsqueeze(1), pooled[:, 1].unsqueeze(0)) / TEMPERATURE  # (N, N)
        if views == 3:
            logits = torch.cat([logits, cosine(pooled[:, 0].unsqueeze(1), pooled[:, 2].unsqueeze(0)) / TEMPERATURE], 1)  # (N, 2N)
        return nn.functional.cross_entropy(logits, torch.arange(sentences))


class Trainer:
    def __init__(self, model, learning_rate, total_steps):
        self.model = model.train()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: max(0.0, (total_steps - step) / total_steps))

    def step(self, batch, pad):
        longest = max(map(len, batch))
        rows = [sentence + [pad] * (longest - len(sentence)) for sentence in batch]
        mask = [[1] * len(sentence) + [0] * (longest - len(sentence)) for sentence in batch]
        twice = lambda values: torch.tensor(values).unsqueeze(1).repeat(1, 2, 1)  # (N, 2, L)
        ids = twice(rows)
        loss = self.model(ids, twice(mask), torch.zeros_like(ids))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.scheduler.step()
        self.model.zero_grad()
        return loss.item(), norm.item()


def load_config(directory, dropout=True):
    with open(os.path.join(directory, "config.json")) as file:
        config = json.load(file)
    return config if dropout else {**config, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def goldens(model_directory, tensors_path, cases_path, case):
    tensors = read_safetensors(tensors_path)
    with open(cases_path) as file:
        cases = json.load(file)
    config = load_config(model_directory, dropout=False)
    model = ContrastiveModel(config, read_safetensors(os.path.join(model_directory, "model.safetensors")), tensors["head.mlp.dense.weight"], tensors["head.mlp.dense.bias"]).train()
    rows = cases["cases"][case]["rows"]
    places = torch.tensor([cases["sentences"].index(sentence) for row in rows for sentence in row])
    pick = lambda name: tensors[name].long()[places].view(len(rows), len(rows[0]), -1)
    loss = model(pick("batch.input_ids"), pick("batch.attention_mask"), pick("batch.token_type_ids"))
    loss.backward()
    print(json.dumps({"loss": loss.item(), "grad_norms": {name: parameter.grad.norm().item() for name, parameter in model.named_parameters() if parameter.grad is not None}}))


def side(folder, learning_rate, total_steps, threads):
    torch.set_num_threads(threads)
    with open(os.path.join(folder, "training.json")) as file:
        given = json.load(file)
    directory, steps_a_round, batches = given["Model"], given["StepsARound"], given["Batches"]
    head = torch.from_numpy(numpy.fromfile(os.path.join(folder, "head.f32"), dtype=numpy.float32))

    def trainer(dropout):
        config = load_config(directory, dropout)
        hidden = config["hidden_size"]
        model = ContrastiveModel(config, read_safetensors(os.path.join(directory, "model.safetensors")), head.view(hidden, hidden), torch.zeros(hidden))
        return Trainer(model, learning_rate, total_steps)

    reply = lambda value: print(json.dumps(value), flush=True)
    pad = load_config(directory).get("pad_token_id", 0)
    training = None
    reply({"ready": f"PyTorch {torch.__version__} of Debian, Python {sys.version.split()[0]}"})
    for line in sys.stdin:
        request, argument = line.strip().split(" ", 1)
        if request == "check":
            loss, norm = trainer(dropout=False).step(given["CheckBatch"], pad)
            with open(argument, "w") as file:
                json.dump({"Loss": loss, "GradientNorm": norm}, file)
            reply({"checked": True})
        else:
            training = training or trainer(dropout=True)
            chosen = [batches[(int(argument) * steps_a_round + step) % len(batches)] for step in range(steps_a_round)]
            start = time.perf_counter()
            for batch in chosen:
                training.step(batch, pad)
            reply([{"Part": "", "Seconds": time.perf_counter() - start, "Items": sum(map(len, chosen)), "PeakMemory": 0}])


if __name__ == "__main__":
    if sys.argv[1] == "--goldens":
        goldens(*sys.argv[2:])
    else:
        side(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
