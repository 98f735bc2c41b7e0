// The whole native part of the collectives: a group of replicas over Gloo's TCP transport, as one JS class. Plain data
// comes in, promises go out; connect-group.ts is its only caller and turns the codes into errors.
//
// One thread per group runs the collectives in the order they were called. Gloo's own thread moves the bytes.

#include <napi.h>

#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/rendezvous/context.h>
#include <gloo/transport/tcp/device.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

using Milliseconds = std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Pieces that a ring passes on: measured faster than Gloo's default on loopback, and small enough to overlap.
constexpr size_t kSegmentBytes = 4 << 20;
// Gloo waits five times its time-out for a peer to connect.
constexpr int kConnectFactor = 5;
// No collective uses this slot: a receive on it only serves to break the group.
constexpr uint64_t kAbortSlot = 0xAB00000000000001ull;
// How long the end of the process waits for a group's thread, which a broken group ends at once.
constexpr Milliseconds kExitWait{500};

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_VECTOR_UNIT __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_VECTOR_UNIT
#endif

FOR_EACH_VECTOR_UNIT void addInto(float* __restrict sum, const float* __restrict term, size_t count) {
  for (size_t i = 0; i < count; i++) sum[i] += term[i];
}

FOR_EACH_VECTOR_UNIT void addBoth(float* __restrict sum, const float* a, const float* b, size_t count) {
  for (size_t i = 0; i < count; i++) sum[i] = a[i] + b[i];
}

// Gloo calls it with the sum apart from both terms, or in place of one.
void sumFloats(void* sum, const void* a, const void* b, size_t count) {
  auto* to = static_cast<float*>(sum);
  const auto *first = static_cast<const float*>(a), *second = static_cast<const float*>(b);
  if (to == first) addInto(to, second, count);
  else if (to == second) addInto(to, first, count);
  else addBoth(to, first, second, count);
}

// Work for the JS thread.
using Job = std::function<void(Napi::Env)>;

void runJob(Napi::Env env, Napi::Function, std::nullptr_t*, Job* job) {
  if (env != nullptr) {
    Napi::HandleScope scope(env);
    (*job)(env);
  }
  delete job;
}

using JsQueue = Napi::TypedThreadSafeFunction<std::nullptr_t, Job, runJob>;

struct Failure {
  std::string code;  // lost, timeout, closed, misuse
  std::string message;
  std::vector<int> ranks;  // replicas whose connection broke
};

Napi::Value toError(Napi::Env env, const Failure& failure) {
  auto error = Napi::Error::New(env, failure.message).Value();
  error.Set("code", failure.code);
  auto ranks = Napi::Array::New(env);
  for (uint32_t i = 0; i < failure.ranks.size(); i++) ranks.Set(i, failure.ranks[i]);
  error.Set("ranks", ranks);
  return error;
}

Napi::Value rejected(Napi::Env env, const std::string& code, const std::string& message) {
  auto deferred = Napi::Promise::Deferred::New(env);
  deferred.Reject(toError(env, {code, message, {}}));
  return deferred.Promise();
}

// A collective or the connecting, on the group's thread.
using Operation = std::function<void()>;
// What becomes of it; runs on the group's thread.
using Settle = std::function<void(const Failure*)>;

// What the JS object and the group's thread share. The mutex guards all but the queue to JS, which is safe by itself.
struct Session {
  struct Entry {
    Operation operation;
    Settle settle;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Entry> entries;
  bool isClosing = false;
  bool hasEnded = false;
  std::unique_ptr<Failure> failure;  // the first one: all later calls fail with it
  std::shared_ptr<gloo::Context> context;
  uint32_t calls = 0;
  JsQueue js;
  Job onEnd;

  bool post(Job job) {
    auto* heap = new Job(std::move(job));
    if (js.NonBlockingCall(heap) == napi_ok) return true;
    delete heap;
    return false;
  }
};

// Closing connections does not wake a collective that waits; a receive that times out does, as Gloo then signals every
// connection of the context. Posting one to each peer first tells which connections are broken already.
std::vector<int> breakGroup(const std::shared_ptr<gloo::Context>& context) {
  std::vector<int> broken;
  if (!context) return broken;
  char byte;
  std::vector<std::unique_ptr<gloo::transport::UnboundBuffer>> waiting;
  for (int rank = 0; rank < context->size; rank++) {
    if (rank == context->rank) continue;
    auto buffer = context->createUnboundBuffer(&byte, 1);
    try {
      buffer->recv(rank, kAbortSlot, 0, 1);
      waiting.push_back(std::move(buffer));
    } catch (const std::exception&) {
      broken.push_back(rank);
    }
  }
  for (auto& buffer : waiting) {
    try {
      buffer->waitRecv(nullptr, Milliseconds(1));
    } catch (const std::exception&) {
    }
  }
  try {
    context->closeConnections();
  } catch (const std::exception&) {
  }
  return broken;
}

Failure toFailure(const std::string& message) {
  bool isLate = message.find("imed out") != std::string::npos || message.find("timeout") != std::string::npos;
  return {isLate ? "timeout" : "lost", message, {}};
}

// Takes the session's operations one by one until it closes.
void serve(const std::shared_ptr<Session>& session) {
  std::unique_lock<std::mutex> lock(session->mutex);
  for (;;) {
    session->changed.wait(lock, [&] { return session->isClosing || !session->entries.empty(); });
    if (session->entries.empty()) break;
    auto entry = std::move(session->entries.front());
    session->entries.pop_front();
    if (!session->failure) {
      lock.unlock();
      std::unique_ptr<Failure> failure;
      try {
        entry.operation();
      } catch (const std::exception& error) {
        failure = std::make_unique<Failure>(toFailure(error.what()));
      }
      lock.lock();
      if (failure && !session->failure) {
        session->failure = std::move(failure);
        auto context = session->context;
        lock.unlock();
        auto broken = breakGroup(context);  // so that the other replicas hear of it now, not at their time-outs
        lock.lock();
        if (session->failure->code == "lost") session->failure->ranks = std::move(broken);
      } else if (!failure) {
        lock.unlock();
        entry.settle(nullptr);
        lock.lock();
        continue;
      }
    }
    auto failure = *session->failure;
    lock.unlock();
    entry.settle(&failure);
    lock.lock();
  }
  auto context = std::move(session->context);
  lock.unlock();
  context.reset();  // joins Gloo's thread with the last reference
  session->post([session](Napi::Env env) {
    if (session->onEnd) session->onEnd(env);
    session->onEnd = nullptr;
  });
  session->js.Release();
  lock.lock();
  session->hasEnded = true;
  session->changed.notify_all();
}

void close(Session& session) {
  std::unique_lock<std::mutex> lock(session.mutex);
  if (session.isClosing) return;
  session.isClosing = true;
  if (!session.failure) session.failure = std::make_unique<Failure>(Failure{"closed", "the group is closed", {}});
  auto context = session.context;
  lock.unlock();
  session.changed.notify_all();
  breakGroup(context);
}

// The rendezvous store: each call is passed to the JS object's set(key, bytes) or get(key), which return promises, and
// blocks the group's thread until they settle. The JS side limits how long that takes.
class JsStore : public gloo::rendezvous::Store {
 public:
  JsStore(std::shared_ptr<Session> session, Napi::Object store)
      : session_(std::move(session)), store_(std::make_shared<Napi::ObjectReference>(Napi::Persistent(store))) {}

  // The reference is deleted on the JS thread only: at the end of the process it is left alone.
  ~JsStore() override {
    auto* reference = new std::shared_ptr<Napi::ObjectReference>(std::move(store_));
    session_->post([reference](Napi::Env) { delete reference; });
  }

  void set(const std::string& key, const std::vector<char>& data) override { call("set", key, &data); }
  std::vector<char> get(const std::string& key) override { return call("get", key, nullptr); }
  void wait(const std::vector<std::string>& keys) override {
    for (const auto& key : keys) get(key);
  }
  // Gloo's own limit is that of one connection; the caller's is for all.
  void wait(const std::vector<std::string>& keys, const Milliseconds&) override { wait(keys); }

 private:
  struct Answer {
    bool isThere = false;
    std::string error;
    std::vector<char> data;
  };

  std::vector<char> call(const char* method, const std::string& key, const std::vector<char>* data) {
    auto answer = std::make_shared<Answer>();
    auto session = session_;
    auto settle = [session, answer](std::vector<char> value, std::string error) {
      std::lock_guard<std::mutex> lock(session->mutex);
      answer->data = std::move(value);
      answer->error = std::move(error);
      answer->isThere = true;
      session->changed.notify_all();
    };
    bool isPosted = session->post([store = store_, settle, method = std::string(method), key, hasData = data != nullptr,
                                   copy = data ? *data : std::vector<char>()](Napi::Env env) {
      try {
        auto object = store->Value();
        std::vector<napi_value> arguments{Napi::String::New(env, key)};
        if (hasData) arguments.push_back(Napi::Buffer<char>::Copy(env, copy.data(), copy.size()));
        auto promise = object.Get(method).As<Napi::Function>().Call(object, arguments).As<Napi::Object>();
        auto onValue = Napi::Function::New(env, [settle](const Napi::CallbackInfo& info) {
          std::vector<char> value;
          if (info[0].IsTypedArray()) {
            auto bytes = info[0].As<Napi::Uint8Array>();
            value.assign(bytes.Data(), bytes.Data() + bytes.ByteLength());
          }
          settle(std::move(value), "");
        });
        auto onError = Napi::Function::New(env, [settle](const Napi::CallbackInfo& info) {
          settle({}, "rendezvous: " + info[0].ToString().Utf8Value());
        });
        promise.Get("then").As<Napi::Function>().Call(promise, {onValue, onError});
      } catch (const Napi::Error& error) {
        settle({}, "rendezvous: " + error.Message());
      }
    });
    if (!isPosted) throw gloo::IoException("rendezvous: the process ends");
    std::unique_lock<std::mutex> lock(session->mutex);
    session->changed.wait(lock, [&] { return answer->isThere || session->isClosing; });
    if (!answer->isThere) throw gloo::IoException("rendezvous: the group is closed");
    if (!answer->error.empty()) throw gloo::IoException(answer->error);
    return std::move(answer->data);
  }

  std::shared_ptr<Session> session_;
  std::shared_ptr<Napi::ObjectReference> store_;
};

struct Peer {
  int rank;
  int worldSize;
  std::string host;
  Milliseconds timeout;
};

void connect(Session& session, const Peer& peer, gloo::rendezvous::Store& store) {
  gloo::transport::tcp::attr attributes;
  attributes.hostname = peer.host;
  auto device = gloo::transport::tcp::CreateDevice(attributes);
  auto context = std::make_shared<gloo::rendezvous::Context>(peer.rank, peer.worldSize);
  context->setTimeout(std::max(Milliseconds(1), peer.timeout / kConnectFactor));
  context->connectFullMesh(store, device);
  context->setTimeout(peer.timeout);
  std::lock_guard<std::mutex> lock(session.mutex);
  session.context = context;
}

class Group : public Napi::ObjectWrap<Group> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Group",
                       {InstanceMethod<&Group::connectPeers>("connect"), InstanceMethod<&Group::allReduceSum>("allReduceSum"),
                        InstanceMethod<&Group::allGather>("allGather"), InstanceMethod<&Group::broadcast>("broadcast"),
                        InstanceMethod<&Group::barrier>("barrier"), InstanceMethod<&Group::closeGroup>("close")});
  }

  explicit Group(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Group>(info), session_(std::make_shared<Session>()) {
    session_->js = JsQueue::New(info.Env(), "collectives", 0, 1);
    session_->js.Unref(info.Env());
    std::thread([session = session_] { serve(session); }).detach();
    // Hooks run in reverse order: before the one that takes the queue to JS away.
    env_ = info.Env();
    exitHook_ = new std::shared_ptr<Session>(session_);
    napi_add_env_cleanup_hook(env_, endAtExit, exitHook_);
  }

  ~Group() override {
    napi_remove_env_cleanup_hook(env_, endAtExit, exitHook_);
    delete exitHook_;
    close(*session_);
  }

 private:
  static void endAtExit(void* hook) {
    auto session = *static_cast<std::shared_ptr<Session>*>(hook);
    close(*session);
    std::unique_lock<std::mutex> lock(session->mutex);
    session->changed.wait_for(lock, kExitWait, [&] { return session->hasEnded; });
  }

  // Queues an operation; `held` are the JS values that it works on.
  Napi::Value enqueue(Napi::Env env, Operation operation, const std::vector<Napi::Value>& held) {
    auto deferred = std::make_shared<Napi::Promise::Deferred>(Napi::Promise::Deferred::New(env));
    // Deleted on the JS thread only: at the end of the process it is left alone.
    auto* references = new std::vector<Napi::ObjectReference>();
    for (const auto& value : held) references->push_back(Napi::Persistent(value.As<Napi::Object>()));
    auto session = session_;
    {
      std::lock_guard<std::mutex> lock(session->mutex);
      if (session->isClosing) {
        delete references;
        return rejected(env, "closed", "the group is closed");
      }
      auto settle = [this, session, deferred, references](const Failure* failure) {
        session->post([=, copy = failure ? std::make_shared<Failure>(*failure) : nullptr](Napi::Env env) {
          delete references;
          if (--inFlight_ == 0) session->js.Unref(env);
          if (copy) deferred->Reject(toError(env, *copy));
          else deferred->Resolve(env.Undefined());
          Unref();
        });
      };
      session->entries.push_back({std::move(operation), settle});
    }
    Ref();
    if (inFlight_++ == 0) session->js.Ref(env);
    session->changed.notify_all();
    return deferred->Promise();
  }

  // Queues a collective. Its tag says which call it is, and of what: calls that do not fit never meet.
  template <typename Body>
  Napi::Value collective(Napi::Env env, uint32_t kind, size_t size, const std::vector<Napi::Value>& held, Body body) {
    auto session = session_;
    return enqueue(
        env,
        [session, kind, size, body] {
          std::unique_lock<std::mutex> lock(session->mutex);
          auto context = session->context;
          uint32_t tag = ++session->calls * 0x9e3779b1u ^ (kind * 0x85ebca6bu + static_cast<uint32_t>(size) * 0xc2b2ae35u);
          lock.unlock();
          if (!context) throw gloo::InvalidOperationException("the group is not connected");
          body(context, tag);
        },
        held);
  }

  Napi::Value connectPeers(const Napi::CallbackInfo& info) {
    auto options = info[0].As<Napi::Object>();
    Peer peer{options.Get("rank").ToNumber().Int32Value(), options.Get("worldSize").ToNumber().Int32Value(),
              options.Get("host").ToString().Utf8Value(), Milliseconds(options.Get("timeoutMs").ToNumber().Int64Value())};
    auto store = std::make_shared<std::shared_ptr<JsStore>>(
        std::make_shared<JsStore>(session_, options.Get("store").As<Napi::Object>()));
    auto session = session_;
    return enqueue(
        info.Env(),
        [session, peer, store] {
          connect(*session, peer, **store);
          store->reset();
        },
        {});
  }

  Napi::Value allReduceSum(const Napi::CallbackInfo& info) {
    auto buffer = info[0].As<Napi::Float32Array>();
    auto* data = buffer.Data();
    auto size = buffer.ElementLength();
    return collective(info.Env(), 1, size, {buffer}, [data, size](const std::shared_ptr<gloo::Context>& context, uint32_t tag) {
      gloo::AllreduceOptions options(context);
      options.setOutput(data, size);
      options.setReduceFunction(sumFloats);
      options.setMaxSegmentSize(kSegmentBytes);
      options.setTag(tag);
      gloo::allreduce(options);
    });
  }

  Napi::Value allGather(const Napi::CallbackInfo& info) {
    auto input = info[0].As<Napi::Float32Array>(), output = info[1].As<Napi::Float32Array>();
    auto *from = input.Data(), *to = output.Data();
    auto size = input.ElementLength(), total = output.ElementLength();
    return collective(info.Env(), 2, size, {input, output},
                      [=](const std::shared_ptr<gloo::Context>& context, uint32_t tag) {
                        gloo::AllgatherOptions options(context);
                        options.setInput(from, size);
                        options.setOutput(to, total);
                        options.setTag(tag);
                        gloo::allgather(options);
                      });
  }

  Napi::Value broadcast(const Napi::CallbackInfo& info) {
    auto array = info[0].As<Napi::TypedArray>();
    auto size = array.ByteLength();
    // Of either element type: only the bytes count.
    auto* data = array.TypedArrayType() == napi_float32_array ? reinterpret_cast<uint8_t*>(array.As<Napi::Float32Array>().Data())
                                                              : array.As<Napi::Uint8Array>().Data();
    int root = info[1].ToNumber().Int32Value();
    return collective(info.Env(), 3 + static_cast<uint32_t>(root), size, {array},
                      [=](const std::shared_ptr<gloo::Context>& context, uint32_t tag) {
                        gloo::BroadcastOptions options(context);
                        options.setOutput(data, size);
                        options.setRoot(root);
                        options.setTag(tag);
                        gloo::broadcast(options);
                      });
  }

  Napi::Value barrier(const Napi::CallbackInfo& info) {
    return collective(info.Env(), 0, 0, {}, [](const std::shared_ptr<gloo::Context>& context, uint32_t tag) {
      gloo::BarrierOptions options(context);
      options.setTag(tag);
      gloo::barrier(options);
    });
  }

  // Resolves when the thread is gone.
  Napi::Value closeGroup(const Napi::CallbackInfo& info) {
    auto env = info.Env();
    auto deferred = Napi::Promise::Deferred::New(env);
    auto session = session_;
    std::unique_lock<std::mutex> lock(session->mutex);
    if (session->isClosing) {
      deferred.Resolve(env.Undefined());
      return deferred.Promise();
    }
    session->onEnd = [this, deferred](Napi::Env env) {
      deferred.Resolve(env.Undefined());
      Unref();
    };
    lock.unlock();
    Ref();
    session->js.Ref(env);
    close(*session);
    return deferred.Promise();
  }

  std::shared_ptr<Session> session_;
  std::shared_ptr<Session>* exitHook_ = nullptr;
  napi_env env_ = nullptr;
  int inFlight_ = 0;
};

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("Group", Group::define(env));
  return exports;
}

NODE_API_MODULE(gloo, initialize)

}  // namespace
