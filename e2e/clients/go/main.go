// Uses a cluster as programs in Go do: clientv3 with TLS and a user, its concurrency package, and its wrappers of keys and order.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/leasing"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.etcd.io/etcd/client/v3/ordering"
	"go.uber.org/zap"
)

const prefix = "app/go/"

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := connect()
	check("connect", err)
	defer client.Close()
	_, err = client.Delete(ctx, prefix, clientv3.WithPrefix())
	check("begin with nothing", err)

	steps := []struct {
		name string
		run  func(context.Context, *clientv3.Client) error
	}{
		{"keys", keys},
		{"transactions", transactions},
		{"watches", watches},
		{"leases", leases},
		{"permissions", permissions},
		{"mutex", mutex},
		{"election", election},
		{"software transactional memory", stm},
		{"namespace", names},
		{"ordering", order},
		{"leasing", lend},
		{"mirror", mirrored},
	}
	for _, step := range steps {
		check(step.name, step.run(ctx, client))
		fmt.Println("ok", step.name)
	}
}

func connect() (*clientv3.Client, error) {
	authority, err := os.ReadFile(os.Getenv("ETCD_CACERT"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("ETCD_CACERT has no certificate")
	}
	return clientv3.New(clientv3.Config{
		Endpoints:   strings.Split(os.Getenv("ETCD_ENDPOINTS"), ","),
		Username:    os.Getenv("ETCD_USER"),
		Password:    os.Getenv("ETCD_PASSWORD"),
		TLS:         &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DialTimeout: 10 * time.Second,
		// It tells of refusals that are meant to be.
		Logger: zap.NewNop(),
	})
}

func check(step string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", step, err)
		os.Exit(1)
	}
}

func expect[T comparable](what string, got, wanted T) error {
	if got != wanted {
		return fmt.Errorf("%s: got %v, wanted %v", what, got, wanted)
	}
	return nil
}

func keys(ctx context.Context, client *clientv3.Client) error {
	for _, name := range []string{"a", "b", "c"} {
		if _, err := client.Put(ctx, prefix+"keys/"+name, name); err != nil {
			return err
		}
	}
	old, err := client.Put(ctx, prefix+"keys/a", "new", clientv3.WithPrevKV())
	if err != nil {
		return err
	}
	some, err := client.Get(ctx, prefix+"keys/", clientv3.WithPrefix(), clientv3.WithLimit(2), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend))
	if err != nil {
		return err
	}
	before, err := client.Get(ctx, prefix+"keys/a", clientv3.WithRev(old.Header.Revision-1))
	if err != nil {
		return err
	}
	gone, err := client.Delete(ctx, prefix+"keys/", clientv3.WithPrefix())
	if err != nil {
		return err
	}
	return errors.Join(
		expect("the value before", string(old.PrevKv.Value), "a"),
		expect("the newest key", string(some.Kvs[0].Key), prefix+"keys/a"),
		expect("all keys", some.Count, int64(3)),
		expect("the value at an older revision", string(before.Kvs[0].Value), "a"),
		expect("deleted keys", gone.Deleted, int64(3)),
	)
}

func transactions(ctx context.Context, client *clientv3.Client) error {
	key := prefix + "txn"
	create := func(value string) (*clientv3.TxnResponse, error) {
		return client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(clientv3.OpPut(key, value)).
			Else(clientv3.OpGet(key)).
			Commit()
	}
	first, err := create("first")
	if err != nil {
		return err
	}
	second, err := create("second")
	if err != nil {
		return err
	}
	kept := second.Responses[0].GetResponseRange().Kvs[0].Value
	return errors.Join(
		expect("the first creates", first.Succeeded, true),
		expect("the second sees it", second.Succeeded, false),
		expect("the value", string(kept), "first"),
	)
}

func watches(ctx context.Context, client *clientv3.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begun, err := client.Put(ctx, prefix+"watch/0", "past")
	if err != nil {
		return err
	}
	events := client.Watch(ctx, prefix+"watch/", clientv3.WithPrefix(), clientv3.WithRev(begun.Header.Revision), clientv3.WithPrevKV())
	for i := 1; i < 50; i++ {
		if _, err := client.Put(ctx, fmt.Sprintf("%swatch/%d", prefix, i), "present"); err != nil {
			return err
		}
	}
	last, revision := 0, int64(0)
	for last < 50 {
		batch := <-events
		if err := batch.Err(); err != nil {
			return err
		}
		for _, event := range batch.Events {
			if event.Kv.ModRevision <= revision {
				return fmt.Errorf("revision %d behind %d", event.Kv.ModRevision, revision)
			}
			last, revision = last+1, event.Kv.ModRevision
		}
	}
	return nil
}

func leases(ctx context.Context, client *clientv3.Client) error {
	lease, err := client.Grant(ctx, 10)
	if err != nil {
		return err
	}
	if _, err = client.Put(ctx, prefix+"lease", "held", clientv3.WithLease(lease.ID)); err != nil {
		return err
	}
	alive, err := client.KeepAlive(ctx, lease.ID)
	if err != nil {
		return err
	}
	if <-alive == nil {
		return errors.New("the lease isn't kept alive")
	}
	told, err := client.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
	if err != nil {
		return err
	}
	if _, err = client.Revoke(ctx, lease.ID); err != nil {
		return err
	}
	gone, err := client.Get(ctx, prefix+"lease")
	if err != nil {
		return err
	}
	return errors.Join(
		expect("keys of the lease", len(told.Keys), 1),
		expect("keys after it", gone.Count, int64(0)),
	)
}

func permissions(ctx context.Context, client *clientv3.Client) error {
	_, err := client.Put(ctx, "another/key", "x")
	if !errors.Is(err, rpctypes.ErrPermissionDenied) {
		return fmt.Errorf("a key of others: got %v", err)
	}
	_, err = client.UserAdd(ctx, "mallory", "secret")
	if !errors.Is(err, rpctypes.ErrPermissionDenied) {
		return fmt.Errorf("a call of administrators: got %v", err)
	}
	refused := <-client.Watch(ctx, "another/key")
	if !refused.Canceled || !strings.Contains(fmt.Sprint(refused.Err()), "etcdserver: permission denied") {
		return fmt.Errorf("a watch on others' keys: got %v", refused.Err())
	}
	return nil
}

func mutex(ctx context.Context, client *clientv3.Client) error {
	const workers = 5
	counter, failures := 0, make(chan error, workers)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			session, err := concurrency.NewSession(client, concurrency.WithTTL(10))
			if err != nil {
				failures <- err
				return
			}
			defer session.Close()
			mutex := concurrency.NewMutex(session, prefix+"mutex")
			if err := mutex.Lock(ctx); err != nil {
				failures <- err
				return
			}
			// Nothing but the lock keeps two from the same number.
			seen := counter
			time.Sleep(time.Millisecond)
			counter = seen + 1
			failures <- mutex.Unlock(ctx)
		})
	}
	all.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			return err
		}
	}
	return expect("the counter", counter, workers)
}

func election(ctx context.Context, client *clientv3.Client) error {
	elect := func(name string) (*concurrency.Session, *concurrency.Election, error) {
		session, err := concurrency.NewSession(client, concurrency.WithTTL(10))
		if err != nil {
			return nil, nil, err
		}
		election := concurrency.NewElection(session, prefix+"election")
		return session, election, election.Campaign(ctx, name)
	}
	session, first, err := elect("first")
	if err != nil {
		return err
	}
	second := make(chan error, 1)
	go func() {
		session, election, err := elect("second")
		if err == nil {
			err = errors.Join(election.Resign(ctx), session.Close())
		}
		second <- err
	}()
	leader, err := first.Leader(ctx)
	if err != nil {
		return err
	}
	// The end of a session is the end of its leadership.
	if err = session.Close(); err != nil {
		return err
	}
	return errors.Join(expect("the leader", string(leader.Kvs[0].Value), "first"), <-second)
}

func stm(ctx context.Context, client *clientv3.Client) error {
	const transfers = 10
	account := func(name string) string { return prefix + "account/" + name }
	for name, balance := range map[string]string{"a": "100", "b": "100"} {
		if _, err := client.Put(ctx, account(name), balance); err != nil {
			return err
		}
	}
	failures := make(chan error, transfers)
	for range transfers {
		go func() {
			_, err := concurrency.NewSTM(client, func(stm concurrency.STM) error {
				var a, b int
				fmt.Sscan(stm.Get(account("a")), &a)
				fmt.Sscan(stm.Get(account("b")), &b)
				stm.Put(account("a"), fmt.Sprint(a-5))
				stm.Put(account("b"), fmt.Sprint(b+5))
				return nil
			}, concurrency.WithAbortContext(ctx))
			failures <- err
		}()
	}
	for range transfers {
		if err := <-failures; err != nil {
			return err
		}
	}
	after, err := client.Get(ctx, account("b"))
	if err != nil {
		return err
	}
	return expect("the balance", string(after.Kvs[0].Value), "150")
}

func names(ctx context.Context, client *clientv3.Client) error {
	inside := namespace.NewKV(client.KV, prefix+"inside/")
	if _, err := inside.Put(ctx, "key", "value"); err != nil {
		return err
	}
	outside, err := client.Get(ctx, prefix+"inside/key")
	if err != nil {
		return err
	}
	return expect("seen from outside", outside.Count, int64(1))
}

func order(ctx context.Context, client *clientv3.Client) error {
	ordered := ordering.NewKV(client.KV, func(op clientv3.Op, response clientv3.OpResponse, previous int64) error {
		return fmt.Errorf("an answer from before revision %d", previous)
	})
	for i := range 20 {
		if _, err := ordered.Get(ctx, prefix+"order"); err != nil {
			return err
		}
		if _, err := client.Put(ctx, prefix+"order", fmt.Sprint(i)); err != nil {
			return err
		}
	}
	return nil
}

func lend(ctx context.Context, client *clientv3.Client) error {
	lent, end, err := leasing.NewKV(client, prefix+"leasing/")
	if err != nil {
		return err
	}
	defer end()
	key := prefix + "lent"
	if _, err := lent.Put(ctx, key, "one"); err != nil {
		return err
	}
	if _, err := lent.Get(ctx, key); err != nil {
		return err
	}
	// The one that has it lent hears of it before another writes.
	other, close, err := leasing.NewKV(client, prefix+"leasing/")
	if err != nil {
		return err
	}
	defer close()
	if _, err := other.Put(ctx, key, "two"); err != nil {
		return err
	}
	now, err := lent.Get(ctx, key)
	if err != nil {
		return err
	}
	return expect("the value", string(now.Kvs[0].Value), "two")
}

func mirrored(ctx context.Context, client *clientv3.Client) error {
	for i := range 30 {
		if _, err := client.Put(ctx, fmt.Sprintf("%smirror/%d", prefix, i), "x"); err != nil {
			return err
		}
	}
	syncer := mirror.NewSyncer(client, prefix+"mirror/", 0)
	pages, failures := syncer.SyncBase(ctx)
	count := 0
	for page := range pages {
		count += len(page.Kvs)
	}
	if err := <-failures; err != nil {
		return err
	}
	updates := syncer.SyncUpdates(ctx)
	if _, err := client.Put(ctx, prefix+"mirror/late", "x"); err != nil {
		return err
	}
	update := <-updates
	return errors.Join(update.Err(), expect("keys", count, 30), expect("the update", string(update.Events[0].Kv.Key), prefix+"mirror/late"))
}
