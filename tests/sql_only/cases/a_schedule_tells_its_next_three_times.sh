# Nobody has to guess what an expression means: the answer tells when it runs, and in which zone.
connect="select easysync.connect('shop', 'woocommerce', settings => '{\"url\":\"https://shop.example\"}', credentials => '{\"consumer_key\":\"ck\",\"consumer_secret\":\"cs\"}')"
psql -Xq -d test -v ON_ERROR_STOP=1 -c "create extension easysync" -c "$connect" >/dev/null 2>&1
said=$(psql -XqAt -d test -c "select easysync.schedule('orders', '0 * * * *')" 2>&1)
time='([0-9]{4}-[0-9]{2}-[0-9]{2} )?[0-9]{2}:00'
grep -qE "^NOTICE:  next: $time, $time, $time \(America/Edmonton\)$" <<<"$said" || { echo "$said"; exit 1; }
grep -qx orders_incremental <<<"$said"
said=$(psql -XqAt -d test -c "select easysync.alter_schedule('orders_incremental', timezone => 'Asia/Tokyo')" 2>&1)
grep -qE "^NOTICE:  next: .* \(Asia/Tokyo\)$" <<<"$said" || { echo "$said"; exit 1; }
