import io.etcd.jetcd.ByteSequence;
import io.etcd.jetcd.Watch;
import io.etcd.jetcd.election.CampaignResponse;
import io.etcd.jetcd.kv.TxnResponse;
import io.etcd.jetcd.op.Cmp;
import io.etcd.jetcd.op.CmpTarget;
import io.etcd.jetcd.op.Op;
import io.etcd.jetcd.options.DeleteOption;
import io.etcd.jetcd.options.GetOption;
import io.etcd.jetcd.options.LeaseOption;
import io.etcd.jetcd.options.PutOption;
import io.etcd.jetcd.options.WatchOption;
import io.etcd.jetcd.support.CloseableClient;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Uses a cluster as programs in Java do: the library jetcd with TLS and a user. */
public final class Client {
    private static final String PREFIX = "app/java/";
    private static final long LIMIT_S = 20;

    private interface Step {
        void run(io.etcd.jetcd.Client client) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        try (var client = connect()) {
            await(client.getKVClient().delete(bytes(""), DeleteOption.builder().isPrefix(true).build()));
            step("keys", Client::keys, client);
            step("transactions", Client::transactions, client);
            step("watches", Client::watches, client);
            step("leases", Client::leases, client);
            step("locks", Client::locks, client);
            step("election", Client::election, client);
            step("permissions", Client::permissions, client);
        }
    }

    private static void step(String name, Step step, io.etcd.jetcd.Client client) throws Exception {
        step.run(client);
        System.out.println("ok " + name);
    }

    private static io.etcd.jetcd.Client connect() throws Exception {
        var authority = new File(System.getenv("ETCD_CACERT"));
        return io.etcd.jetcd.Client.builder()
            .endpoints(System.getenv("ETCD_ENDPOINTS").split(","))
            .user(ByteSequence.from(System.getenv("ETCD_USER"), StandardCharsets.UTF_8))
            .password(ByteSequence.from(System.getenv("ETCD_PASSWORD"), StandardCharsets.UTF_8))
            .sslContext(builder -> builder.trustManager(authority))
            .build();
    }

    /** Below the keys of this program. */
    private static ByteSequence bytes(String name) {
        return ByteSequence.from(PREFIX + name, StandardCharsets.UTF_8);
    }

    private static ByteSequence value(String text) {
        return ByteSequence.from(text, StandardCharsets.UTF_8);
    }

    private static <T> T await(CompletableFuture<T> future) throws Exception {
        return future.get(LIMIT_S, TimeUnit.SECONDS);
    }

    private static void expect(String what, Object got, Object wanted) {
        if (!got.equals(wanted)) {
            throw new AssertionError(what + ": got " + got + ", wanted " + wanted);
        }
    }

    private static void keys(io.etcd.jetcd.Client client) throws Exception {
        var kv = client.getKVClient();
        for (var name : List.of("a", "b", "c")) {
            await(kv.put(bytes("keys/" + name), value(name)));
        }
        var old = await(kv.put(bytes("keys/a"), value("new"), PutOption.builder().withPrevKV().build()));
        expect("the value before", old.getPrevKv().getValue(), value("a"));
        var prefix = bytes("keys/");
        var some = await(kv.get(prefix, GetOption.builder().isPrefix(true).withLimit(2).build()));
        expect("a page", some.getKvs().size(), 2);
        expect("all keys", some.getCount(), 3L);
        var gone = await(kv.delete(prefix, DeleteOption.builder().isPrefix(true).build()));
        expect("deleted keys", gone.getDeleted(), 3L);
    }

    private static void transactions(io.etcd.jetcd.Client client) throws Exception {
        expect("the first creates", create(client, "first").isSucceeded(), true);
        var second = create(client, "second");
        expect("the second sees it", second.isSucceeded(), false);
        expect("the value", second.getGetResponses().get(0).getKvs().get(0).getValue(), value("first"));
    }

    private static TxnResponse create(io.etcd.jetcd.Client client, String text) throws Exception {
        var key = bytes("txn");
        return await(client.getKVClient().txn()
            .If(new Cmp(key, Cmp.Op.EQUAL, CmpTarget.createRevision(0)))
            .Then(Op.put(key, value(text), PutOption.DEFAULT))
            .Else(Op.get(key, GetOption.DEFAULT))
            .commit());
    }

    private static void watches(io.etcd.jetcd.Client client) throws Exception {
        var kv = client.getKVClient();
        var begun = await(kv.put(bytes("watch/0"), value("past"))).getHeader().getRevision();
        BlockingQueue<String> told = new LinkedBlockingQueue<>();
        var listener = Watch.listener(response ->
            response.getEvents().forEach(event -> told.add(event.getKeyValue().getKey().toString(StandardCharsets.UTF_8))));
        var option = WatchOption.builder().isPrefix(true).withRevision(begun).build();
        try (var watcher = client.getWatchClient().watch(bytes("watch/"), option, listener)) {
            List<String> written = new ArrayList<>(List.of(PREFIX + "watch/0"));
            for (int number = 1; number < 50; number++) {
                await(kv.put(bytes("watch/" + number), value("present")));
                written.add(PREFIX + "watch/" + number);
            }
            List<String> seen = new ArrayList<>();
            while (seen.size() < written.size()) {
                seen.add(told.poll(LIMIT_S, TimeUnit.SECONDS));
            }
            expect("the events in order", seen, written);
        }
    }

    private static void leases(io.etcd.jetcd.Client client) throws Exception {
        var leases = client.getLeaseClient();
        long id = await(leases.grant(10)).getID();
        await(client.getKVClient().put(bytes("lease"), value("held"), PutOption.builder().withLeaseId(id).build()));
        var renewed = new CountDownLatch(1);
        CloseableClient renewals = leases.keepAlive(id, new StreamObserver<>() {
            @Override
            public void onNext(io.etcd.jetcd.lease.LeaseKeepAliveResponse response) {
                renewed.countDown();
            }

            @Override
            public void onError(Throwable error) {
            }

            @Override
            public void onCompleted() {
            }
        });
        expect("kept alive", renewed.await(LIMIT_S, TimeUnit.SECONDS), true);
        renewals.close();
        var told = await(leases.timeToLive(id, LeaseOption.builder().withAttachedKeys().build()));
        expect("keys of the lease", told.getKeys(), List.of(bytes("lease")));
        await(leases.revoke(id));
        expect("keys after it", await(client.getKVClient().get(bytes("lease"))).getCount(), 0L);
    }

    private static void locks(io.etcd.jetcd.Client client) throws Exception {
        int[] counter = {0};
        List<CompletableFuture<Void>> all = new ArrayList<>();
        for (int worker = 0; worker < 4; worker++) {
            all.add(CompletableFuture.runAsync(() -> count(client, counter)));
        }
        for (var one : all) {
            await(one);
        }
        expect("the counter", counter[0], 4);
    }

    private static void count(io.etcd.jetcd.Client client, int[] counter) {
        try {
            long lease = await(client.getLeaseClient().grant(10)).getID();
            var held = await(client.getLockClient().lock(bytes("lock"), lease)).getKey();
            int seen = counter[0];
            Thread.sleep(1);
            counter[0] = seen + 1;
            await(client.getLockClient().unlock(held));
            await(client.getLeaseClient().revoke(lease));
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }

    private static void election(io.etcd.jetcd.Client client) throws Exception {
        long lease = await(client.getLeaseClient().grant(10)).getID();
        CampaignResponse won = await(client.getElectionClient().campaign(bytes("election"), lease, value("first")));
        var leader = await(client.getElectionClient().leader(bytes("election")));
        expect("the leader", leader.getKv().getValue(), value("first"));
        await(client.getElectionClient().resign(won.getLeader()));
        await(client.getLeaseClient().revoke(lease));
    }

    private static void permissions(io.etcd.jetcd.Client client) throws Exception {
        try {
            await(client.getKVClient().put(value("another/key"), value("x")));
        } catch (ExecutionException error) {
            expect("the refusal", Status.fromThrowable(error).getCode(), Status.Code.PERMISSION_DENIED);
            return;
        }
        throw new AssertionError("a key of others was written");
    }
}
