psql -Xq -d test -c 'create extension easysync' -c "select easysync.create_hub('commerce')"
psql -Xq -c 'drop database if exists contract' -c 'create database contract'
python3 "$here/../surface/compare.py" test contract
